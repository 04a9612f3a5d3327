using System.Text;
using GroupViT.Native;
using GroupViT.Native.Weights;
using static GroupViT.Tests.Weights.SafetensorsBytes;

namespace GroupViT.Tests.Weights;

/// <summary>What the reference's reader refuses, one test per malformation; then what this one refuses beyond it.</summary>
internal sealed class SafetensorsMalformationTests
{
    [Test]
    public void A_file_shorter_than_eight_bytes_is_refused([Range(0, 7)] int length)
        => Refused(new byte[length], $"is {length} bytes long");

    [Test]
    public void A_header_length_over_one_hundred_million_is_refused()
    {
        // 100,000,001 in little-endian, then an empty object.
        byte[] file = [0x01, 0xE1, 0xF5, 0x05, 0, 0, 0, 0, (byte)'{', (byte)'}'];
        ModelFileException error = Refused(file, "100000001", "at most 100000000");
        Assert.That(error.Offset, Is.Zero);
    }

    [Test]
    public void A_header_length_that_overflows_when_eight_is_added_is_refused()
        => Refused([0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, (byte)'{', (byte)'}'], "18446744073709551615");

    [Test]
    public void A_header_length_with_the_sign_bit_set_is_refused()
        => Refused([2, 0, 0, 0, 0, 0, 0, 0x80, (byte)'{', (byte)'}'], "9223372036854775810");

    [Test]
    public void A_header_length_past_the_end_of_the_file_is_refused_before_anything_is_allocated()
    {
        // 99,999,999 bytes of header claimed by a file of 10 bytes.
        byte[] file = [0xFF, 0xE0, 0xF5, 0x05, 0, 0, 0, 0, (byte)'{', (byte)'}'];
        long before = GC.GetAllocatedBytesForCurrentThread();
        Refused(file, "99999999", "only 2 follow");
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(1 << 20));
    }

    [Test]
    public void A_header_that_is_not_UTF8_is_refused() => Refused(File([(byte)'{', 0xFF, (byte)'}'], []), "not UTF-8");

    [TestCase(new byte[] { 0xC3, 0x28 }, TestName = "Invalid_UTF8_in_a_name_is_refused(a lead byte without its second)")]
    [TestCase(new byte[] { 0xC0, 0xAF }, TestName = "Invalid_UTF8_in_a_name_is_refused(an overlong slash)")]
    [TestCase(new byte[] { 0xED, 0xA0, 0x80 }, TestName = "Invalid_UTF8_in_a_name_is_refused(half a surrogate pair)")]
    [TestCase(new byte[] { 0xF4, 0x90, 0x80, 0x80 }, TestName = "Invalid_UTF8_in_a_name_is_refused(above the last code point)")]
    [TestCase(new byte[] { 0x80 }, TestName = "Invalid_UTF8_in_a_name_is_refused(a second byte alone)")]
    public void Invalid_UTF8_in_a_name_is_refused(byte[] name)
    {
        Refused(File([.. "{\""u8, .. name, .. "\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}"u8], new byte[1]), "not UTF-8");
        Refused(File([.. "{\"__metadata__\":{\""u8, .. name, .. "\":\"\"}}"u8], []), "not UTF-8");
        Refused(File([.. "{\"__metadata__\":{\"a\":\""u8, .. name, .. "\"}}"u8], []), "not UTF-8");
    }

    [TestCase("")]
    [TestCase("{")]
    [TestCase("x")]
    [TestCase("{}}")]
    [TestCase("{} {}")]
    [TestCase("{\"a\":}")]
    [TestCase("{/**/}")]
    [TestCase("{\"__metadata__\":{},}")]
    public void A_header_that_is_not_JSON_is_refused(string header) => Refused(header, 0, "not JSON");

    [TestCase("[]")]
    [TestCase("1")]
    [TestCase("null")]
    [TestCase("\"a\"")]
    public void A_header_that_is_no_object_is_refused(string header) => Refused(header, 0, "must be a JSON object");

    [TestCase("{\"a\":1}", "a (byte 13): must be an object")]
    [TestCase("{\"a\":[]}", "a (byte 13): must be an object")]
    [TestCase("{\"a\":{}}", "no field 'dtype'")]
    [TestCase("{\"a\":{\"shape\":[],\"data_offsets\":[0,4]}}", "no field 'dtype'")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", "no field 'shape'")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[]}}", "no field 'data_offsets'")]
    [TestCase("{\"a\":{\"dtype\":32,\"shape\":[],\"data_offsets\":[0,4]}}", "dtype must be a string")]
    [TestCase("{\"a\":{\"dtype\":\"F31\",\"shape\":[],\"data_offsets\":[0,4]}}", "unknown dtype 'F31'")]
    [TestCase("{\"a\":{\"dtype\":\"f32\",\"shape\":[],\"data_offsets\":[0,4]}}", "unknown dtype 'f32'")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", "shape must be an array")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]}}", "plain digits, not -1")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,4]}}", "plain digits, not 1.5")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[\"1\"],\"data_offsets\":[0,4]}}", "plain digits, not a string")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[null],\"data_offsets\":[0,4]}}", "plain digits, not null")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[18446744073709551616],\"data_offsets\":[0,4]}}", "not 18446744073709551616")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":4}}", "data_offsets must be an array")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[]}}", "data_offsets must hold whole numbers")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0]}}", "data_offsets must hold whole numbers")]
    [TestCase("{\"a\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[0,4,8]}}", "more than two")]
    public void A_header_with_wrong_types_is_refused(string header, string words) => Refused(header, 4, words);

    [TestCase("{\"__metadata__\":{\"a\":1}}", "'a' must be a string, not a number")]
    [TestCase("{\"__metadata__\":{\"a\":null}}", "'a' must be a string, not null")]
    [TestCase("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}", "'a' must be a string, not an object")]
    [TestCase("{\"__metadata__\":[]}", "object of strings")]
    [TestCase("{\"__metadata__\":\"x\"}", "object of strings")]
    public void Metadata_values_that_are_not_strings_are_refused(string header, string words) => Refused(header, 0, "__metadata__", words);

    [Test]
    public void Tensors_that_leave_a_gap_are_refused()
    {
        ModelFileException error = Refused("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}}""", 5, "b", "a gap of 1 bytes");
        Assert.That(error.Item, Is.EqualTo("b"));
    }

    [Test]
    public void Tensors_that_overlap_are_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[3],"data_offsets":[0,3]},"b":{"dtype":"U8","shape":[3],"data_offsets":[2,5]}}""", 5, "b", "overlaps", "by 1 bytes");

    [Test]
    public void Tensors_that_all_claim_one_range_are_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}}""", 4, "overlaps");

    [Test]
    public void A_first_tensor_that_does_not_begin_at_zero_is_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}""", 4, "a gap of 2 bytes");

    [Test]
    public void Offsets_that_end_before_they_begin_are_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[2,0]}}""", 2, "a (byte 13)", "end before they begin");

    [Test]
    public void A_size_that_is_not_shape_times_dtype_is_refused()
        => Refused("""{"a":{"dtype":"F32","shape":[2,2],"data_offsets":[0,12]}}""", 12, "shape [2,2] in F32 takes 16 bytes", "hold 12");

    [Test]
    public void A_shape_whose_product_overflows_is_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[4294967296,4294967296],"data_offsets":[0,0]}}""", 0, "overflows");

    [Test]
    public void A_byte_count_that_overflows_is_refused()
        => Refused("""{"a":{"dtype":"F64","shape":[4611686018427387904],"data_offsets":[0,0]}}""", 0, "overflows");

    [Test]
    public void A_product_that_overflows_before_it_meets_a_zero_is_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[4294967296,4294967296,0],"data_offsets":[0,0]}}""", 0, "overflows");

    [TestCase("F4", 3)]
    [TestCase("F6_E2M3", 2)]
    [TestCase("F6_E3M2", 3)]
    public void A_narrow_dtype_that_does_not_end_on_a_byte_is_refused(string type, int count)
        => Refused($$$"""{"a":{"dtype":"{{{type}}}","shape":[{{{count}}}],"data_offsets":[0,2]}}""", 2, "whole byte");

    [Test]
    public void Bytes_after_the_last_tensor_are_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 3, "1 bytes follow the last tensor");

    [Test]
    public void Bytes_after_an_empty_header_are_refused() => Refused("{}", 1, "1 bytes follow");

    [Test]
    public void Missing_bytes_are_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[2],"data_offsets":[0,2]}}""", 1, "reach past the data section of 1 bytes");

    [Test]
    public void A_tensor_that_is_not_there_is_named()
    {
        using SafetensorsFile file = Open(File("{}"));
        ModelFileException error = Assert.Throws<ModelFileException>(() => file.Entry("weight"))!;
        Assert.That(error.Message, Is.EqualTo("test.safetensors: weight: has no such tensor (it has 0)"));
    }

    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"a":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"\u0061":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}""")]
    public void A_name_that_is_there_twice_is_refused_even_if_escaped(string header) => Refused(header, 2, "a (byte", "twice");

    [TestCase("""{"a":{"dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "'dtype'")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"sh\u0061pe":[1],"data_offsets":[0,1]}}""", "'shape'")]
    [TestCase("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"data_offsets":[0,1]}}""", "'data_offsets'")]
    [TestCase("""{"__metadata__":{"k":"1","k":"2"},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", "'k'")]
    [TestCase("""{"__metadata__":{},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"__metadata__":{}}""", "__metadata__")]
    public void A_field_that_is_there_twice_is_refused(string header, string words) => Refused(header, 1, words, "twice");

    [TestCase("-0")]
    [TestCase("1e1")]
    [TestCase("1.0")]
    [TestCase("10E-1")]
    public void Whole_numbers_are_plain_digits(string number)
    {
        Refused($$$"""{"a":{"dtype":"U8","shape":[{{{number}}}],"data_offsets":[0,1]}}""", 1, "shape must hold whole numbers", $"not {number}");
        Refused($$$"""{"a":{"dtype":"U8","shape":[1],"data_offsets":[{{{number}}},1]}}""", 1, "data_offsets must hold whole numbers", $"not {number}");
    }

    [Test]
    public void Leading_zeros_are_no_JSON() => Refused("""{"a":{"dtype":"U8","shape":[01],"data_offsets":[0,1]}}""", 1, "not JSON");

    [Test]
    public void Deep_nesting_is_refused() => Refused("{\"a\":" + new string('[', 100_000) + new string(']', 100_000) + "}", 0, "a (byte");

    [Test]
    public void Deep_nesting_inside_a_shape_is_refused()
        => Refused("{\"a\":{\"dtype\":\"U8\",\"shape\":" + new string('[', 100_000), 0, "shape must hold whole numbers");

    [Test]
    public void An_empty_name_is_refused() => Refused("""{"":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "name is empty");

    [TestCase(SafetensorsHeader.MaxNameLength + 1)]
    [TestCase(6 * SafetensorsHeader.MaxNameLength + 1)]
    public void A_name_that_is_too_long_is_refused(int length)
        => Refused($$$"""{"{{{new string('n', length)}}}":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}}""", 1, "1024");

    [Test]
    public void Too_many_tensors_are_refused()
    {
        var header = new StringBuilder("{");
        for (int i = 0; i <= SafetensorsHeader.MaxTensors; i++)
        {
            header.Append(i == 0 ? "" : ",").Append("\"t").Append(i).Append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        Refused(header.Append('}').ToString(), 0, "more than 262144 tensors");
    }

    [Test]
    public void Too_many_metadata_entries_are_refused()
    {
        string entries = string.Join(",", Enumerable.Range(0, SafetensorsHeader.MaxMetadataEntries + 1).Select(i => $"\"{i}\":\"\""));
        Refused($$$"""{"__metadata__":{{{{entries}}}}}""", 0, "more than 4096 entries");
    }

    [Test]
    public void Too_many_axes_are_refused()
        => Refused($$$"""{"a":{"dtype":"U8","shape":[{{{string.Join(",", Enumerable.Repeat(1, 65))}}}],"data_offsets":[0,1]}}""", 1, "more than 64 axes");

    [Test]
    public void A_NUL_after_the_JSON_is_refused() => Refused("{}\0", 0, "not JSON");

    [Test]
    public void A_NUL_between_the_tokens_is_refused() => Refused("{\0}", 0, "not JSON");

    [Test]
    public void A_NUL_within_a_name_is_refused() => Refused("{\"a\0\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "not JSON");

    [Test]
    public void Deep_nesting_inside_the_metadata_is_refused()
        => Refused("{\"__metadata__\":{\"a\":" + new string('[', 100_000) + new string(']', 100_000) + "}}", 0, "must be a string, not an array");

    [Test]
    public void Deep_nesting_inside_an_unknown_field_is_refused()
        => Refused("{\"a\":{\"x\":" + new string('[', 100_000), 0, "unknown field 'x'");

    [Test]
    public void A_byte_order_mark_is_refused() => Refused("\uFEFF{}", 0, "not JSON");

    [Test]
    public void Half_a_surrogate_pair_in_a_name_is_refused()
        => Refused("{\"\\ud800\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "no valid Unicode");

    [Test]
    public void A_field_that_might_change_how_bytes_are_read_is_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"strides":[1]}}""", 1, "unknown field 'strides'");

    [Test]
    public void A_size_of_two_to_the_sixty_third_is_refused()
        => Refused("""{"a":{"dtype":"U8","shape":[0,9223372036854775808],"data_offsets":[0,0]}}""", 0, "not below 2^63");

    [Test]
    public void Messages_show_only_the_beginning_of_a_long_name()
    {
        string name = new('n', 1000);
        ModelFileException error = Refused($$$"""{"{{{name}}}":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}}""", 2, "takes 1 bytes");
        Assert.That(error.Message, Has.Length.LessThan(400));
    }
}
