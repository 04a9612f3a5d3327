using System.Globalization;

namespace GroupViT.Tool.Hub;

/// <summary>Something that may go better the next time.</summary>
/// <param name="final">What to report if it does not.</param>
/// <param name="retryAfter">The pause that the server asked for.</param>
/// <param name="gotOn">True where this attempt brought the work further, so that attempts count anew.</param>
internal sealed class TransientException(HubException final, TimeSpan? retryAfter = null, bool gotOn = false) : Exception(final.Message, final)
{
    public HubException Final => final;

    public TimeSpan? RetryAfter => retryAfter;

    public bool GotOn => gotOn;
}

/// <summary>Tries again what may go better the next time, after pauses that grow and differ.</summary>
/// <param name="options">How often, and how long the pauses are.</param>
/// <param name="note">Told before each pause.</param>
internal sealed class Retry(HubHttpOptions options, Action<string> note)
{
    /// <exception cref="HubException">What the last attempt failed with.</exception>
    public async Task<T> RunAsync<T>(Func<Task<T>> attempt, CancellationToken cancellation)
    {
        for (int failures = 0; ;)
        {
            TransientException failure;
            try
            {
                return await attempt();
            }
            catch (TransientException exception)
            {
                failure = exception;
            }
            failures = failure.GotOn ? 1 : failures + 1;
            if (failures >= options.Attempts)
            {
                throw failure.Final;
            }
            if (failure.RetryAfter > options.LongestRetryAfter)
            {
                throw new HubUnreachableException(string.Create(
                    CultureInfo.InvariantCulture, $"{failure.Message}; it asks for a pause of {failure.RetryAfter.Value.TotalSeconds:0} s: try again then"), failure.Final);
            }
            TimeSpan pause = Pause(failures, failure.RetryAfter);
            note(string.Create(CultureInfo.InvariantCulture, $"{failure.Message}; trying again in {pause.TotalSeconds:0.0} s ({failures + 1} of {options.Attempts})"));
            await Task.Delay(pause, options.Clock, cancellation);
        }
    }

    private TimeSpan Pause(int failures, TimeSpan? asked)
    {
        double grown = options.FirstDelay.TotalSeconds * Math.Pow(2, Math.Min(failures - 1, 30));
        // By chance, so that those whom one failure sent away do not come back together.
        TimeSpan own = TimeSpan.FromSeconds(Math.Min(grown, options.LongestDelay.TotalSeconds) * (0.5 + (0.5 * options.Chance())));
        return asked > own ? asked.Value : own;
    }
}
