using Google.Protobuf;

namespace GroupViT.Bench.Peers.Onnx;

/// <summary>
/// A protobuf message as a list of numbered fields, written through Google.Protobuf's encoder. Sizes are known before anything is
/// written, so that weights go from their own memory to the file.
/// </summary>
internal sealed class ProtoMessage
{
    private readonly List<(int Field, object Value)> fields = [];

    public ProtoMessage With(int field, long value) => Add(field, value);

    public ProtoMessage With(int field, float value) => Add(field, value);

    public ProtoMessage With(int field, string value) => Add(field, value);

    public ProtoMessage With(int field, ProtoMessage value) => Add(field, value);

    /// <summary>The bytes are not copied and must stay as they are until the message is written.</summary>
    public ProtoMessage With(int field, ReadOnlyMemory<byte> value) => Add(field, UnsafeByteOperations.UnsafeWrap(value));

    public void WriteTo(Stream stream)
    {
        using CodedOutputStream output = new(stream, 1 << 16, leaveOpen: true);
        WriteTo(output);
    }

    private ProtoMessage Add(int field, object value)
    {
        fields.Add((field, value));
        return this;
    }

    private int Size() => fields.Sum(field => CodedOutputStream.ComputeTagSize(field.Field) + field.Value switch
    {
        long number => CodedOutputStream.ComputeInt64Size(number),
        float => sizeof(float),
        string text => CodedOutputStream.ComputeStringSize(text),
        ByteString bytes => CodedOutputStream.ComputeBytesSize(bytes),
        ProtoMessage message => LengthAndSize(message.Size()),
        _ => throw new InvalidOperationException(),
    });

    private static int LengthAndSize(int size) => checked(CodedOutputStream.ComputeLengthSize(size) + size);

    private void WriteTo(CodedOutputStream output)
    {
        foreach ((int field, object value) in fields)
        {
            switch (value)
            {
                case long number:
                    output.WriteTag(field, WireFormat.WireType.Varint);
                    output.WriteInt64(number);
                    break;
                case float number:
                    output.WriteTag(field, WireFormat.WireType.Fixed32);
                    output.WriteFloat(number);
                    break;
                case string text:
                    output.WriteTag(field, WireFormat.WireType.LengthDelimited);
                    output.WriteString(text);
                    break;
                case ByteString bytes:
                    output.WriteTag(field, WireFormat.WireType.LengthDelimited);
                    output.WriteBytes(bytes);
                    break;
                case ProtoMessage message:
                    output.WriteTag(field, WireFormat.WireType.LengthDelimited);
                    output.WriteLength(message.Size());
                    message.WriteTo(output);
                    break;
            }
        }
    }
}
