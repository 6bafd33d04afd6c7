// A game server for the test of configs/unity/Photofinish.cs: it sends to the address that
// it is given and prints what it was told.
using System;
using System.Collections.Generic;
using System.Threading;

static class Game
{
    static int Main(string[] args)
    {
        using (var events = new Photofinish.Client(args[0], args.Length > 1 ? args[1] : null))
        {
            events.Refused += (lines, why) => Console.WriteLine("refused " + why.Trim());
            events.Trouble += why => Console.WriteLine("trouble " + why.Split(' ')[0]);
            events.Kill("ana", "rabbit", "red", 2, new Dictionary<string, string> { { "name", "Ana \"\\\ud83d\ude00\ud83d" } });
            events.Purchase("bo", "celestial-mount");
            events.Kill(null, "nobody"); // no node takes it: who killed?
            events.Kill("tab\tulator", "nobody"); // nor this one, but it can be read
            var threads = new List<Thread>();
            for (var i = 0; i < 4; i++)
            {
                var t = new Thread(() => { for (var k = 0; k < 250; k++) events.Kill("p", "hare"); });
                t.Start();
                threads.Add(t);
            }
            foreach (var t in threads) t.Join();
            Console.WriteLine(events.Flush(TimeSpan.FromSeconds(60)) ? "flushed" : "not flushed");
            return 0;
        }
    }
}
