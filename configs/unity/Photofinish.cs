// A client of photofinish in one file, for Unity and every other C# game server. It uses
// nothing of Unity, so it also compiles by itself.
//
//   var events = new Photofinish.Client("http://127.0.0.1:8090");   // photofinish forward
//   events.Kill("ana", "rabbit");
//   events.Purchase("bo", "celestial-mount");
//   events.Dispose();                                               // when the server stops
//
// Run `photofinish forward` on the same machine: what it has answered for is on disk and
// reaches a node whatever happens. Until then, milliseconds, an event is in the memory of
// this process alone. To push to a node directly, give its address and a key; then what
// waits for the node in an outage is lost if the game server dies.
//
// Every event gets an id and an instant when it is given to the client, and is sent with
// the same bytes until it is answered for, so it never counts twice. Instants of one client
// all differ and go up, so the order of its events is certain. While nothing happens, a
// heartbeat every 20 seconds says that nobody need wait for this server.
//
// All methods may be called by any thread and return at once. Callbacks come from a thread
// of the client: in Unity, pass them on to the main thread.
using System;
using System.Collections.Generic;
using System.Globalization;
using System.Net.Http;
using System.Net.Http.Headers;
using System.Security.Cryptography;
using System.Text;
using System.Threading;

namespace Photofinish
{
    public sealed class Client : IDisposable
    {
        // MaxQueued bounds the events in memory; beyond it Send returns false.
        public const int MaxQueued = 100000;
        const int MaxBatch = 1000;
        static readonly TimeSpan Heartbeat = TimeSpan.FromSeconds(20);
        static readonly TimeSpan MaxPause = TimeSpan.FromSeconds(30);
        static readonly TimeSpan PersonPause = TimeSpan.FromSeconds(60);
        static readonly DateTime Epoch = new DateTime(1970, 1, 1, 0, 0, 0, DateTimeKind.Utc);

        // Refused gets the events (a line of JSON each) that can never be taken, and why.
        public event Action<string, string> Refused;
        // Trouble gets what keeps events from being taken. They are sent again.
        public event Action<string> Trouble;

        readonly HttpClient http = new HttpClient(new HttpClientHandler { AllowAutoRedirect = false });
        readonly Uri url;
        readonly string opening;
        readonly Random random = new Random();
        readonly Thread sender;
        readonly object mutex = new object(); // guards the fields below
        readonly Queue<string> queue = new Queue<string>();
        bool sending, stopped;
        long number, lastTicks;

        long[] exchange; // of clocks: the last t1, t2, t3, t4; the sender's alone

        public Client(string address, string key = null)
        {
            url = new Uri(address.TrimEnd('/') + "/v1/events");
            http.Timeout = TimeSpan.FromSeconds(30);
            if (key != null) http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", key);
            var bytes = new byte[8];
            using (var source = RandomNumberGenerator.Create()) source.GetBytes(bytes);
            opening = ((DateTime.UtcNow - Epoch).Ticks / TimeSpan.TicksPerSecond) + "-" + BitConverter.ToString(bytes).Replace("-", "").ToLowerInvariant();
            sender = new Thread(Run) { IsBackground = true, Name = "photofinish" };
            sender.Start();
        }

        public bool Kill(string player, string target, string guild = null, long count = 1, IDictionary<string, string> attrs = null)
        {
            return Send("kill", player, guild, target, null, count, attrs);
        }

        public bool Purchase(string player, string sku, long count = 1, IDictionary<string, string> attrs = null)
        {
            return Send("purchase", player, null, null, sku, count, attrs);
        }

        // Send takes an event of any type. It returns false if too many wait: the event is
        // not taken. null leaves a field out.
        public bool Send(string type, string player, string guild, string target, string sku, long count, IDictionary<string, string> attrs)
        {
            lock (mutex)
            {
                if (stopped || queue.Count >= MaxQueued) return false;
                var line = Begin(type);
                Field(line, "player", player);
                Field(line, "guild", guild);
                Field(line, "target", target);
                Field(line, "sku", sku);
                line.Append(",\"count\":").Append(count.ToString(CultureInfo.InvariantCulture));
                if (attrs != null && attrs.Count > 0)
                {
                    line.Append(",\"attrs\":{");
                    var first = true;
                    foreach (var a in attrs)
                    {
                        if (!first) line.Append(',');
                        first = false;
                        Text(line, a.Key);
                        line.Append(':');
                        Text(line, a.Value ?? "");
                    }
                    line.Append('}');
                }
                queue.Enqueue(line.Append("}\n").ToString());
                Monitor.PulseAll(mutex);
                return true;
            }
        }

        // Flush waits until everything that was given is answered for. It returns false if
        // that takes longer.
        public bool Flush(TimeSpan atMost)
        {
            var end = DateTime.UtcNow + atMost;
            lock (mutex)
            {
                while (queue.Count > 0 || sending)
                {
                    var left = end - DateTime.UtcNow;
                    if (left <= TimeSpan.Zero || !Monitor.Wait(mutex, left)) return queue.Count == 0 && !sending;
                }
                return true;
            }
        }

        // Dispose waits up to five seconds for what was given, then stops.
        public void Dispose()
        {
            Flush(TimeSpan.FromSeconds(5));
            lock (mutex)
            {
                stopped = true;
                Monitor.PulseAll(mutex);
            }
            http.CancelPendingRequests();
            sender.Join(TimeSpan.FromSeconds(5));
            http.Dispose();
        }

        void Run()
        {
            var beat = DateTime.UtcNow;
            for (;;)
            {
                var batch = new List<string>();
                lock (mutex)
                {
                    for (;;)
                    {
                        if (stopped) return;
                        var left = beat - DateTime.UtcNow;
                        if (queue.Count > 0 || left <= TimeSpan.Zero) break;
                        Monitor.Wait(mutex, left < Heartbeat ? left : Heartbeat); // the clock may be set
                    }
                    while (queue.Count > 0 && batch.Count < MaxBatch) batch.Add(queue.Dequeue());
                    // It says that nothing from before will come, so it stands behind everything.
                    if (queue.Count == 0) batch.Add(Begin("heartbeat").Append("}\n").ToString());
                    sending = true;
                }
                beat = DateTime.UtcNow + Heartbeat;
                Deliver(batch);
                lock (mutex)
                {
                    sending = false;
                    Monitor.PulseAll(mutex);
                }
            }
        }

        // Deliver sends lines until they are taken or refused for good.
        void Deliver(List<string> lines)
        {
            for (var tries = 0; ; tries++)
            {
                string words;
                var status = Post(string.Concat(lines), out words);
                if (status == 200 && words.Contains("\"accepted\":"))
                {
                    if (!words.Replace(" ", "").Contains("\"rejected\":[]")) Tell(string.Concat(lines), words);
                    return;
                }
                if (status == 400 || status == 413 || status == 415)
                {
                    if (lines.Count == 1)
                    {
                        Tell(lines[0], words);
                        return;
                    }
                    var half = lines.Count / 2;
                    Deliver(lines.GetRange(0, half));
                    Deliver(lines.GetRange(half, lines.Count - half));
                    return;
                }
                var trouble = Trouble;
                if (trouble != null) trouble(status + " " + words);
                var person = status >= 300 && status < 500 && status != 408 && status != 429;
                var limit = Math.Min(MaxPause.TotalMilliseconds, 1000 * Math.Pow(2, Math.Min(tries, 5)));
                var end = DateTime.UtcNow + (person ? PersonPause : TimeSpan.FromMilliseconds(random.NextDouble() * limit));
                lock (mutex)
                {
                    for (var left = end - DateTime.UtcNow; !stopped && left > TimeSpan.Zero; left = end - DateTime.UtcNow)
                        Monitor.Wait(mutex, left < PersonPause ? left : PersonPause);
                    if (stopped) return;
                }
            }
        }

        // Post returns the status, 0 without an answer, and what was said.
        int Post(string body, out string words)
        {
            try
            {
                using (var request = new HttpRequestMessage(HttpMethod.Post, url))
                {
                    request.Content = new ByteArrayContent(Encoding.UTF8.GetBytes(body));
                    request.Content.Headers.ContentType = new MediaTypeHeaderValue("application/x-ndjson");
                    if (exchange != null) request.Headers.Add("Photofinish-Clock", string.Join(",", exchange));
                    var t1 = Nanoseconds();
                    using (var answer = http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead).GetAwaiter().GetResult())
                    {
                        var t4 = Nanoseconds();
                        long t2, t3;
                        if (Header(answer, "Photofinish-Received", out t2) && Header(answer, "Photofinish-Sent", out t3))
                            exchange = new[] { t1, t2, t3, t4 };
                        words = answer.Content.ReadAsStringAsync().GetAwaiter().GetResult();
                        return (int)answer.StatusCode;
                    }
                }
            }
            catch (Exception e) // whatever it is, nobody has answered: the same lines are sent again
            {
                words = e.Message;
                return 0;
            }
        }

        static bool Header(HttpResponseMessage answer, string name, out long value)
        {
            IEnumerable<string> values;
            value = 0;
            return answer.Headers.TryGetValues(name, out values) &&
                long.TryParse(string.Concat(values), NumberStyles.None, CultureInfo.InvariantCulture, out value);
        }

        void Tell(string lines, string why)
        {
            var refused = Refused;
            if (refused != null) refused(lines, why);
        }

        static long Nanoseconds() { return (DateTime.UtcNow - Epoch).Ticks * 100; }

        // Begin gives a line its id and its instant; the lock is held. A clock that stands
        // still or goes back by less than a second is counted on.
        StringBuilder Begin(string type)
        {
            var now = DateTime.UtcNow.Ticks;
            if (now <= lastTicks && lastTicks - now < TimeSpan.TicksPerSecond) now = lastTicks + 1;
            lastTicks = now;
            number++;
            var line = new StringBuilder("{\"id\":\"").Append(opening).Append('-').Append(number).Append("\",\"type\":");
            Text(line, type);
            return line.Append(",\"at\":\"")
                .Append(new DateTime(now, DateTimeKind.Utc).ToString("yyyy-MM-dd'T'HH:mm:ss.fffffff'Z'", CultureInfo.InvariantCulture)).Append('"');
        }

        static void Field(StringBuilder line, string name, string value)
        {
            if (value == null) return;
            line.Append(",\"").Append(name).Append("\":");
            Text(line, value);
        }

        // Text appends a JSON string. Half of a surrogate pair, which UTF-8 cannot hold,
        // becomes U+FFFD.
        static void Text(StringBuilder line, string s)
        {
            line.Append('"');
            for (var i = 0; i < s.Length; i++)
            {
                var c = s[i];
                if (c == '"' || c == '\\') line.Append('\\').Append(c);
                else if (c < 0x20) line.Append("\\u").Append(((int)c).ToString("x4", CultureInfo.InvariantCulture));
                else if (char.IsHighSurrogate(c) && i + 1 < s.Length && char.IsLowSurrogate(s[i + 1])) line.Append(c).Append(s[++i]);
                else if (char.IsSurrogate(c)) line.Append('\uFFFD');
                else line.Append(c);
            }
            line.Append('"');
        }
    }
}
