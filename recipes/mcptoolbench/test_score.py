"""The metrics against values worked out by hand: python3 -m unittest test_score (in this folder)."""

import math
import unittest

import score


def call(tool, arguments, result="ok", error=None):
    return {"tool": tool, "arguments": arguments, "result": result, "shown": str(result), "error": error}


def label(name, given, step="1", similar=()):
    return {"name": name, "step": step, "id": step, "input": given, "similar_tools": [{"name": tool} for tool in similar]}


class Metrics(unittest.TestCase):
    def test_pass_at_k(self):
        self.assertAlmostEqual(score.pass_at_k(10, 3, 1), 0.3)
        self.assertAlmostEqual(score.pass_at_k(10, 5, 5), 1 - 1 / 252)
        self.assertEqual(score.pass_at_k(5, 3, 3), 1.0)
        self.assertEqual(score.pass_at_k(5, 0, 5), 0.0)

    def test_emptiness(self):
        for data in ([], [""], [{}], [[]], "", "[]", '""', {}, {"a": ""}, {"a": "", "b": ""}, None):
            self.assertTrue(score.empty(data), data)
        for data in ([0], ["a"], [{"a": 1}], "a", {"a": 0}, {"a": "", "b": "x"}, 0):
            self.assertFalse(score.empty(data), data)

    def test_parameters(self):
        for got, wanted in (
            ("New  York", "new york"),
            ("./notes/", "notes"),
            (48.8566, 48.86),
            ("5", 5),
            ("True", True),
            (5.0, 5),
            (["a", "B"], ["A", "b"]),
            ({"oldText": "a", "extra": 1}, {"oldText": "a"}),
        ):
            self.assertTrue(score.same_value(got, wanted), (got, wanted))
        for got, wanted in (("york", "new york"), (48.7, 48.86), (6, 5), (True, 1), ("x", 1), (["a"], ["a", "b"]), (math.nan, 1.5), (None, "a")):
            self.assertFalse(score.same_value(got, wanted), (got, wanted))
        self.assertTrue(score.same_parameters({"path": "a", "limit": 3}, {"path": "a", "sort": "up"}))

    def test_the_last_call_counts_in_single_step_tasks(self):
        labels = [label("read", {"path": "a"}, similar=["cat"])]
        everything = {"tool": True, "parameter": True, "execution": True, "steps": 1, "passed": True}
        self.assertEqual(score.trial([call("cat", {"path": "a"})], labels, "single"), everything)
        self.assertEqual(score.trial([call("write", {}), call("read", {"path": "a"})], labels, "single"), everything)
        failed = score.trial([call("read", {"path": "a"}, None, {"class": "tool"})], labels, "single")
        self.assertEqual((failed["parameter"], failed["execution"], failed["passed"]), (True, False, False))
        other = score.trial([call("write", {"path": "a"})], labels, "single")
        self.assertEqual((other["tool"], other["parameter"], other["execution"]), (False, False, True))
        nothing = score.trial([call("", None)], labels, "single")
        self.assertFalse(nothing["tool"] or nothing["execution"] or nothing["passed"])

    def test_steps_keep_their_order_and_calls_of_one_step_do_not(self):
        labels = [label("a", {}), label("b", {}), label("c", {}, "2")]
        a, b, c = (call(name, {}) for name in "abc")
        for calls, done in (([b, a, c], 3), ([a, c, b], 2), ([c, a, b], 2), ([a, b, call("c", {}, "")], 2), ([a, a, b, c], 3)):
            self.assertEqual(score.steps_done(calls, labels), done, [call["tool"] for call in calls])
        self.assertFalse(score.trial([a, c], labels, "multiple")["passed"])
        self.assertTrue(score.trial([a, b, c], labels, "multiple")["passed"])


if __name__ == "__main__":
    unittest.main()
