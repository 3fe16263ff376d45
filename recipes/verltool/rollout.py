"""Rolls out trajectories against a VerlTool tool server, in the way of its agent loop, with a scripted policy.

    python3 rollout.py http://127.0.0.1:5000/get_observation [--order async|barrier] [--trajectories N] [--turns N]

Needs only Python. Each trajectory writes a program a turn, ended by the stop string, and sends it with the fields that
`agent_loop/verltool_agent_loop.py` sends; the last turn is an answer. Programs sleep for 0.05 or 0.5 seconds, in turns, so that
trajectories that need not wait for each other are through sooner. Prints a JSON object: seconds, calls, and when each call began
and ended.
"""

import argparse
import concurrent.futures
import json
import time
import urllib.request
import uuid

STOP = "```output"


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def interact(url, trajectory, action, finish=False, last=False, extra=None):
    """As `interact_with_tool_server`: one item a request."""
    body = {"trajectory_ids": [trajectory], "actions": [action], "finish": [finish], "is_last_step": [last]}
    if extra is not None:
        body["extra_fields"] = [extra]
    answer = post(url, body)
    observation = answer["observations"][0]
    text = observation if isinstance(observation, str) else observation["obs"]
    return text, int(answer["dones"][0]), int(answer["valids"][0])


class Trajectory:
    def __init__(self, url, number, turns, log):
        self.url, self.number, self.turns, self.log = url, number, turns, log
        self.id, self.text, self.turn = uuid.uuid4().hex, "", 0

    def step(self):
        """One turn; whether there is another."""
        if self.turn == self.turns:
            interact(self.url, self.id, "", finish=True, last=True)
            return False
        seconds = 0.5 if (self.turn + self.number) % 2 else 0.05
        code = f"import time\ntime.sleep({seconds})\nprint({self.number} * 100 + {self.turn})"
        action = f"I compute.\n```python\n{code}\n```\n{STOP}"
        began = time.monotonic()
        text, done, valid = interact(self.url, self.id, action, extra={"row": self.number})
        self.log.append({"trajectory": self.number, "turn": self.turn, "began": began, "ended": time.monotonic()})
        if done or not valid or str(self.number * 100 + self.turn) not in text:
            raise SystemExit(f"trajectory {self.number}, turn {self.turn}: {text!r}")
        self.text += action + text
        self.turn += 1
        return True


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url")
    parser.add_argument("--order", choices=["async", "barrier"], default="async")
    parser.add_argument("--trajectories", type=int, default=8)
    parser.add_argument("--turns", type=int, default=3)
    options = parser.parse_args()
    log = []
    all_of_them = [Trajectory(options.url, n, options.turns, log) for n in range(options.trajectories)]
    start = time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(options.trajectories) as threads:
        if options.order == "async":

            def through(trajectory):
                while trajectory.step():
                    pass

            list(threads.map(through, all_of_them))
        else:
            live = all_of_them
            while live:
                # `map` waits for the slowest.
                live = [t for t, more in zip(live, threads.map(Trajectory.step, live)) if more]
    seconds = time.monotonic() - start
    for call in log:
        call["began"] -= start
        call["ended"] -= start
    print(json.dumps({"order": options.order, "seconds": seconds, "calls": log}))


if __name__ == "__main__":
    main()
