using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using GroupViT.Fuzz;
using GroupViT.Fuzz.Targets;

namespace GroupViT.Tests.Fuzzing;

/// <summary>That the fuzzer can fail: faults such as real parsers had are put in, one at a time, and each must be found.</summary>
internal sealed class SeededFaultTests
{
    /// <summary>A real target whose parser does something wrong, before or after the right thing.</summary>
    private sealed class Faulty(FuzzTarget inner, Action<byte[]> fault) : FuzzTarget
    {
        public override string Name => inner.Name;

        public override IReadOnlyList<string> Stages => inner.Stages;

        public override int FirstStagePastHeader => inner.FirstStagePastHeader;

        public override byte[] Mutate(Random random, byte[] parent, byte[] other) => inner.Mutate(random, parent, other);

        public override void Parse(byte[] input)
        {
            fault(input);
            inner.Parse(input);
        }

        public override bool IsRefusal(Exception exception) => inner.IsRefusal(exception);

        public override long AllocationBound(byte[] input) => inner.AllocationBound(input);

        public override int Stage(byte[] input, Exception? refusal) => inner.Stage(input, refusal);
    }

    private static Finding Found(FuzzTarget inner, FindingKind kind, Action<byte[]> fault, FuzzOptions? options = null)
    {
        options ??= new FuzzOptions { Seed = 20220222, Mutants = 5000, MaxFindings = 1 };
        Assert.That(FuzzRun.Run(inner, options with { Endless = TimeSpan.FromSeconds(30) }).Findings, Is.Empty, "without the fault nothing is found");
        FuzzReport report = FuzzRun.Run(new Faulty(inner, fault), options);
        TestContext.Out.WriteLine(report);
        Assert.That(report.Findings.Select(f => f.Kind), Is.EqualTo([kind]));
        return report.Findings[0];
    }

    [Test]
    public void A_header_length_that_is_believed_is_found()
    {
        // The buffer first, the question whether the file is that long later.
        Finding finding = Found(new SafetensorsTarget(), FindingKind.Allocation, input =>
        {
            ulong length = input.Length < 8 ? 0 : BinaryPrimitives.ReadUInt64LittleEndian(input);
            GC.KeepAlive(new byte[length <= 100_000_000 ? length : 0]);
        });
        Assert.That(BinaryPrimitives.ReadUInt64LittleEndian(finding.Input), Is.GreaterThan((ulong)finding.Input.Length));
    }

    [Test]
    public void Offsets_that_are_believed_are_found()
    {
        Finding finding = Found(new SafetensorsTarget(), FindingKind.Crash, input =>
        {
            if (input.Length < 8 || BinaryPrimitives.ReadUInt64LittleEndian(input) > (ulong)input.Length - 8)
            {
                return;
            }
            int header = (int)BinaryPrimitives.ReadUInt64LittleEndian(input);
            int at = input.AsSpan(8, header).IndexOf("\"data_offsets\":["u8);
            if (at >= 0 && int.TryParse(Encoding.ASCII.GetString(input.AsSpan(8 + at + 16, Math.Min(6, header - at - 16))).Split(',')[0], out int begin))
            {
                _ = input[8 + header + begin - (begin == 0 ? 1 : 0)];
            }
        });
        Assert.That(finding.Detail, Does.Contain(nameof(IndexOutOfRangeException)));
    }

    [Test]
    public void Shapes_whose_product_wraps_are_found()
    {
        Finding finding = Found(new SafetensorsTarget(), FindingKind.Crash, input =>
        {
            // The classic: sizes multiplied in 32 bits, checked only here.
            int at = input.AsSpan().IndexOf("\"shape\":[4294967296"u8);
            _ = checked((int)(at >= 0 ? 4294967296 : 0));
        });
        Assert.That(finding.Detail, Does.Contain(nameof(OverflowException)));
    }

    [Test]
    public void A_shard_outside_the_folder_is_found()
        => Found(new ShardIndexTarget(), FindingKind.Crash, input =>
        {
            if (input.AsSpan().IndexOf("\"../"u8) >= 0 && JsonTarget.IsJsonObject(input))
            {
                throw new FuzzViolationException("a shard outside the index's folder");
            }
        });

    [Test]
    public void An_exception_of_the_wrong_type_is_found()
        => Assert.That(
            Found(new ConfigTarget(), FindingKind.Crash, input =>
            {
                // JsonDocument's own error instead of the parser's.
                using JsonDocument document = JsonDocument.Parse(input);
            }).Detail,
            Does.Contain("JsonReaderException"));

    [Test]
    public void A_raster_that_is_allocated_for_any_size_is_found()
        => Found(new PngTarget(), FindingKind.Allocation, input =>
        {
            if (input.Length >= 24)
            {
                uint width = BinaryPrimitives.ReadUInt32BigEndian(input.AsSpan(16)), height = BinaryPrimitives.ReadUInt32BigEndian(input.AsSpan(20));
                GC.KeepAlive((ulong)width * height is > 0 and < 1 << 28 ? new byte[3 * width * height] : null);
            }
        });

    [Test]
    public void A_segment_length_of_zero_that_loops_is_found()
    {
        FuzzOptions options = new() { Seed = 20220222, Mutants = 5000, MaxFindings = 1, Endless = TimeSpan.FromSeconds(2) };
        using CancellationTokenSource end = new();
        Finding finding = Found(new JpegTarget(), FindingKind.Hang, input =>
        {
            // Steps by the segment's length, and ends at a marker that is none; a length of zero is a step of nothing.
            for (int at = 2; at + 4 <= input.Length && input[at] == 0xFF && !end.IsCancellationRequested;)
            {
                int length = BinaryPrimitives.ReadUInt16BigEndian(input.AsSpan(at + 2));
                at += length == 0 ? 0 : 2 + length;
            }
        }, options);
        end.Cancel();
        Assert.That(finding.Detail, Does.Contain("does not end"));
    }

    [Test]
    public void A_strings_length_in_a_pickle_that_is_believed_is_found()
        => Found(new PickleTarget(), FindingKind.Allocation, input =>
        {
            // BINUNICODE: the buffer first, the bytes later.
            for (int at = 21; at + 5 <= input.Length; at++)
            {
                uint length = input[at] == (byte)'X' ? BinaryPrimitives.ReadUInt32LittleEndian(input.AsSpan(at + 1)) : 0;
                if (length is > 1 << 16 and < 1 << 28)
                {
                    GC.KeepAlive(new byte[length]);
                    return;
                }
            }
        });

    [Test]
    public void A_slow_file_is_found()
    {
        // A limit of 0.3 s instead of one, so that the test is quick.
        FuzzOptions options = new() { Seed = 20220222, Mutants = 300, MaxFindings = 1, Slow = TimeSpan.FromMilliseconds(300) };
        Found(new MergesTarget(), FindingKind.Hang, input =>
        {
            if (input.AsSpan().Count((byte)'\r') > 4)
            {
                Thread.Sleep(350);
            }
        }, options);
    }

    [Test]
    public void A_message_as_long_as_the_file_wants_is_found()
        => Found(new VocabularyTarget(), FindingKind.Message, input =>
        {
            if (!JsonTarget.IsJsonObject(input))
            {
                throw new GroupViT.Native.ModelFileException("mutant", $"is '{Encoding.Latin1.GetString(input)}'");
            }
        });

    [Test]
    public void A_seed_that_is_refused_fails_the_run()
        => Assert.That(() => FuzzRun.Run(new Faulty(new PngTarget(), _ => throw new InvalidDataException("refuses all")), new FuzzOptions { Mutants = 1 }), Throws.InvalidOperationException.With.Message.Contains("refuses all"));
}
