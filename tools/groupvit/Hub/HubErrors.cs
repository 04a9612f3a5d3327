using GroupViT.Native;

namespace GroupViT.Tool.Hub;

/// <summary>A model that could not be had from a hub or from its cache.</summary>
internal abstract class HubException(string message, Exception? inner = null) : GroupVitException(message, inner);

/// <summary>HF_HUB_OFFLINE forbids the network, and the cache does not hold what was asked for.</summary>
internal sealed class HubOfflineException(string message) : HubException(message);

/// <summary>The hub refuses this caller: a wrong token, or one without the right to read the repository.</summary>
internal sealed class HubAccessException(string message) : HubException(message);

/// <summary>The repository is there, but its owner wants its terms accepted first.</summary>
internal sealed class GatedRepositoryException(string message) : HubException(message);

/// <summary>There is no such repository, or it is private and the caller is nobody to it: hubs answer both alike.</summary>
internal sealed class RepositoryNotFoundException(string message) : HubException(message);

/// <summary>The repository has no such branch, tag or commit.</summary>
internal sealed class RevisionNotFoundException(string message) : HubException(message);

/// <summary>A file that the hub listed is not there.</summary>
internal sealed class HubFileNotFoundException(string message) : HubException(message);

/// <summary>The hub's answer breaks the rules: a name that leads out of the folder, a redirect to plain http, more than the limits allow.</summary>
internal sealed class HubAnswerException(string message, Exception? inner = null) : HubException(message, inner);

/// <summary>What arrived is not what the hub announced: another size or another hash. Nothing of it was kept.</summary>
internal sealed class DamagedDownloadException(string message) : HubException(message);

/// <summary>The hub could not be reached, or was not ready, as often as it was tried.</summary>
internal sealed class HubUnreachableException(string message, Exception? inner = null) : HubException(message, inner);

/// <summary>The repository holds no model that can be used: no configuration, no weights.</summary>
internal sealed class UnusableSnapshotException(string message) : HubException(message);
