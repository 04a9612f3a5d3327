using System.CommandLine;
using GroupViT.Bench.Commands;
using GroupViT.Native;

RootCommand root = new("Benchmarks of GroupViT.Native; bench/README.md says what each measures.")
{
    KernelsCommand.Create(),
    StagesCommand.Create(),
    EncoderCommand.Create(),
};
ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
if (parsed.Errors.Count > 0)
{
    foreach (string problem in parsed.Errors.Select(error => error.Message).Distinct())
    {
        await Console.Error.WriteLineAsync(problem);
    }
    await Console.Error.WriteLineAsync("--help lists what there is");
    return 2;
}
try
{
    return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false });
}
catch (OperationCanceledException)
{
    await Console.Error.WriteLineAsync("cancelled");
    return 130;
}
catch (Exception exception) when (exception is BenchException or GroupVitException or IOException or InvalidOperationException)
{
    await Console.Error.WriteLineAsync(exception.Message);
    return 2;
}
