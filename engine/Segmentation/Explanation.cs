namespace GroupViT.Native;

/// <summary>Why labels are, or are not, in a picture: the facts that its label map was made from.</summary>
/// <param name="Rules">The rules with their values.</param>
/// <param name="Temperature">The factor of cosines.</param>
/// <param name="EffectiveThreshold">The background threshold after the clamp (spec F.1 step 5), or NaN without background.</param>
/// <param name="LabelCount">Labels that took part, without the background.</param>
/// <param name="Labels">The labels that were asked for, the most similar first.</param>
/// <param name="Groups">All final groups, in their order.</param>
public sealed record Explanation(
    SegmentationOptions Rules, double Temperature, double EffectiveThreshold, int LabelCount, IReadOnlyList<LabelExplanation> Labels, IReadOnlyList<GroupExplanation> Groups);

/// <summary>Why a label is, or is not, in a picture.</summary>
/// <param name="Id">Its position in the bank.</param>
/// <param name="Label">The label.</param>
/// <param name="Similarity">Cosine of label and picture.</param>
/// <param name="Rank">Its place among all labels by similarity, from 1.</param>
/// <param name="Kept">Whether it is among the top classes of preset nvlabs; always with preset transformers.</param>
/// <param name="BestGroup">The group where it scores highest; of a label that was not kept, where its share of all labels is highest.</param>
/// <param name="KeptShare">There, its softmax over the kept labels (spec F.1 step 4); 0 if it was not kept. With preset transformers as AllShare.</param>
/// <param name="AllShare">There, its softmax over all labels.</param>
/// <param name="Score">There, what counts: the product of both, or with preset transformers the logit.</param>
/// <param name="WinnerThere">The label that this group went to, as a position in the bank; its own, or another's.</param>
/// <param name="WinnersScore">The winner's score there; of the background the effective threshold.</param>
/// <param name="Pixels">Pixels of the picture that it won.</param>
/// <param name="LostPixels">Pixels of the network's input in its best group, if another label won that; else 0.</param>
/// <param name="Remedy">A rule's value with which it would win pixels, if one was found.</param>
public sealed record LabelExplanation(
    int Id, string Label, double Similarity, int Rank, bool Kept, int BestGroup, double KeptShare, double AllShare, double Score, int WinnerThere, double WinnersScore,
    long Pixels, long LostPixels, LabelRemedy? Remedy);

/// <summary>A changed rule that was tried: all others as they are.</summary>
/// <param name="Rules">The rules with the change.</param>
/// <param name="Pixels">Pixels of the picture that the label wins with them.</param>
public sealed record LabelRemedy(SegmentationOptions Rules, long Pixels);

/// <summary>What a group is.</summary>
/// <param name="Group">Its number.</param>
/// <param name="Pixels">Pixels of the network's input that belong to it by arg-max (spec F.1 step 3).</param>
/// <param name="Share">Of all pixels of the input, in [0, 1].</param>
/// <param name="Entropy">Of its softmax over all labels, in bits: 0 is sure, log2 of the number of labels is clueless.</param>
/// <param name="Winner">The label that it went to, as a position in the bank.</param>
/// <param name="Best">Its first five labels by softmax over all labels.</param>
public sealed record GroupExplanation(int Group, long Pixels, double Share, double Entropy, int Winner, IReadOnlyList<GroupLabel> Best);

/// <summary>A label of a group.</summary>
/// <param name="Id">Its position in the bank.</param>
/// <param name="Label">The label.</param>
/// <param name="Similarity">Cosine of label and group.</param>
/// <param name="AllShare">Its softmax over all labels.</param>
/// <param name="Score">What counts; see <see cref="LabelExplanation.Score"/>.</param>
public sealed record GroupLabel(int Id, string Label, double Similarity, double AllShare, double Score);
