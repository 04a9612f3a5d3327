using System.CommandLine;
using GroupViT.Bench.Commands;
using GroupViT.Native;

RootCommand root = new("Benchmarks of GroupViT.Native; bench/README.md says what each measures.")
{
    KernelsCommand.Create(),
    StagesCommand.Create(),
};
ParseResult parsed = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
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
