namespace GroupViT.Tool.Hub;

/// <summary>Told how a download goes.</summary>
internal interface ITransferProgress
{
    /// <summary>A file begins, or begins anew.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="total">Its bytes.</param>
    /// <param name="present">How many of them are here already.</param>
    void Begin(string name, long total, long present);

    /// <summary>So many bytes more are here.</summary>
    void Advance(long bytes);

    /// <summary>The file is complete.</summary>
    void End();
}

/// <summary>Tells nobody.</summary>
internal sealed class NoProgress : ITransferProgress
{
    public static NoProgress Instance { get; } = new();

    public void Begin(string name, long total, long present)
    {
    }

    public void Advance(long bytes)
    {
    }

    public void End()
    {
    }
}
