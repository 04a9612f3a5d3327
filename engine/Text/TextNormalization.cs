namespace GroupViT.Native;

/// <summary>How a text is cleaned before it is split into tokens (spec B.3). Plain lower-case ASCII without HTML entities gives the same ids either way.</summary>
public enum TextNormalization
{
    /// <summary>
    /// Hugging Face's fast CLIP tokenizer: Unicode NFC, every run of white space becomes one space, lower-case letter by letter.
    /// The special tokens' literals are recognised in the text as it was given.
    /// </summary>
    HuggingFace,

    /// <summary>
    /// OpenAI's and NVlabs' cleaning: broken text is repaired (mojibake, ligatures, full-width forms, curly quotes, control
    /// characters), HTML entities are resolved twice, white space is collapsed, lower-case with Greek final sigma.
    /// </summary>
    OpenAI,
}
