"""Do our τ²-bench worlds and rewards equal the reference's?

    python tests/parity/tau2.py CHECKOUT [--data DIR] [--domains mock,retail,…] [--lists N] [--runs N] [--seed S]

CHECKOUT is a checkout of tau2-bench (or the environment variable TAU2); DIR holds the domains' folders. Needs the light
packages that its domains import: pydantic 2.14, loguru, docstring-parser, deepdiff, addict, toml, PyYAML, python-dotenv;
and Python 3.12, whose error texts the tools show. What it would import beyond that (models, plots) is replaced by stubs.

Compares, per domain: the tools' JSON Schemas; results and database hashes of every task's reference solution; results and
hashes of N seeded lists of random calls, valid and broken ones; rewards of N runs that were made of reference solutions by
random edits. Exit status 0: no disagreement.
"""

import argparse
import copy
import json
import os
import random
import sys
import tempfile
import types
import warnings
from pathlib import Path

from our_examples import ask

ROOT = Path(__file__).resolve().parents[2]


STUBBED = ["tau2.agent.base.streaming", "pandas"]


def stub(name, **attributes):
    module = types.ModuleType(name)
    module.__dict__.update(attributes)
    sys.modules[name] = module
    return module


class Anything(type):
    def __getattr__(cls, name):
        return Nothing


class Nothing(metaclass=Anything):
    def __init__(self, *args, **kwargs):
        pass


def reference(checkout, data):
    """Import the reference's domains and evaluators without its models, voices and plots."""
    source = Path(checkout) / "src"
    sys.path.insert(0, str(source))
    os.environ["TAU2_DATA_DIR"] = str(data)
    package = stub("tau2")
    package.__path__ = [str(source / "tau2")]
    from loguru import logger

    logger.remove()
    warnings.simplefilter("ignore")
    stub("tau2.evaluator.evaluator_nl_assertions", NLAssertionsEvaluator=Nothing, FullDuplexNLAssertionsEvaluator=Nothing)
    for name in STUBBED:
        stub(name).__getattr__ = lambda attribute: Nothing
    constructors = {}
    registry = types.SimpleNamespace(get_env_constructor=lambda name: constructors[name])
    stub("tau2.registry", registry=registry)
    return constructors


def lay_out(data, place, airline):
    """The reference wants `tau2/domains/NAME`; the airline's database is built from τ-bench's where it is absent."""
    domains = place / "tau2" / "domains"
    domains.mkdir(parents=True)
    for folder in Path(data).iterdir():
        if folder.is_dir():
            (domains / folder.name).mkdir()
            for file in folder.iterdir():
                (domains / folder.name / file.name).symlink_to(file.resolve())
    small = domains / "telecom" / "tasks_small.json"
    if small.exists() and not (domains / "telecom" / "tasks.json").exists():
        (domains / "telecom" / "tasks.json").symlink_to(small.resolve())
    if (domains / "airline").exists() and not (domains / "airline" / "db.json").exists() and airline.is_dir():
        parts = {name: json.loads((airline / f"{name}.json").read_text()) for name in ["flights", "users", "reservations"]}
        for user_id, user in parts["users"].items():
            user.setdefault("user_id", user_id)
        (domains / "airline" / "db.json").write_text(json.dumps(parts))


class Reference:
    def __init__(self, domain, constructors):
        import importlib

        self.domain = domain
        self.module = importlib.import_module(f"tau2.domains.{domain}.environment")
        environment = self.module.get_environment
        if domain in ("retail", "airline"):
            # Parsing the database costs more than all calls; the records are validated anew for each world all the same.
            model = importlib.import_module(f"tau2.domains.{domain}.data_model")
            path = getattr(model, f"{domain.upper()}_DB_PATH")
            raw = json.loads(Path(path).read_text())
            db = {"retail": "RetailDB", "airline": "FlightDB"}[domain]

            def environment(db=None, solo_mode=False, raw=raw, model=getattr(model, db)):
                return self.module.get_environment(db=model.model_validate(raw), solo_mode=solo_mode)

        self.make = environment
        constructors[domain] = self.fresh
        self.tasks = self.module.get_tasks(None)
        self.count = 0

    def fresh(self, **kwargs):
        if self.domain == "telecom":
            from tau2.domains.telecom import tools, user_tools
            from tau2.domains.telecom.user_data_model import PerformanceLevel

            # A class attribute of the reference that `break_vpn` changes for the rest of the process, and random ids.
            user_tools.TelecomUserTools.default_vpn_details.server_performance = PerformanceLevel.EXCELLENT
            self.count = 0

            def uuid4():
                self.count += 1
                return types.SimpleNamespace(hex=f"{self.count:032x}"[-8:])

            tools.uuid = types.SimpleNamespace(uuid4=uuid4)
        return self.make(**kwargs)

    def start(self, task=None):
        env = self.fresh()
        if task is not None and task.initial_state is not None:
            state = task.initial_state
            env.set_state(state.initialization_data, state.initialization_actions, state.message_history or [])
        return env

    def play(self, calls, task=None):
        from tau2.data_model.message import ToolCall
        from tau2.data_model.tasks import EnvFunctionCall

        env = self.start(task)
        results = []
        for call in calls:
            if call.get("function"):
                try:
                    function = EnvFunctionCall(env_type=call["side"], func_name=call["name"], arguments=call["arguments"])
                    results.append([env.to_json_str(env.run_env_function_call(function)), False])
                except Exception as error:
                    results.append([f"Error: {error}", True])
                continue
            call = ToolCall(id="", name=call["name"], arguments=call["arguments"], requestor=call["side"])
            response = env.get_response(call)
            results.append([response.content, response.error])
        return {"results": results, "assistant": env.get_db_hash(), "user": env.get_user_db_hash()}

    def schemas(self):
        env = self.fresh()
        kits = {"assistant": env.tools, "user": env.user_tools}
        schemas = {}
        for side, kit in kits.items():
            tools = kit.get_tools().values() if kit is not None else []
            schemas[side] = {
                tool.name: {
                    "kind": kit.tool_type(tool.name).value,
                    "mutates": kit.tool_mutates_state(tool.name),
                    "schema": plain(tool.openai_schema["function"]["parameters"]),
                }
                for tool in tools
            }
        return schemas

    def reward(self, task, messages, termination):
        from tau2.data_model.simulation import SimulationRun
        from tau2.evaluator.evaluator import EvaluationType, evaluate_simulation

        run = SimulationRun(
            id="", task_id=task.id, start_time="", end_time="", duration=0, termination_reason=termination, messages=messages
        )
        try:
            info = evaluate_simulation(run, task, EvaluationType.ALL, False, self.domain)
        except Exception as error:
            return {"error": str(error)}
        return {
            "reward": info.reward,
            "breakdown": {kind.value: value for kind, value in (info.reward_breakdown or {}).items()},
            "db": info.db_check.db_match if info.db_check else None,
            "env_assertions": [check.met for check in info.env_assertions or []],
            "actions": [check.action_match for check in info.action_checks or []],
            "communicate": [check.met for check in info.communicate_checks or []],
        }


def plain(schema):
    """A JSON Schema without its words."""
    if isinstance(schema, dict):
        named = schema.get("properties")
        rest = {key: plain(value) for key, value in schema.items() if key not in ("description", "properties")}
        if isinstance(named, dict):
            rest["properties"] = {name: plain(value) for name, value in named.items()}
        return rest
    if isinstance(schema, list):
        return [plain(item) for item in schema]
    return schema


ODD = [
    None, True, False, 0, 1, -1, 3, 1.5, -0.0, 1e300, 10**17, "", "x", "#W0000000", "2024-05-20", "ünï'\"\\\n\t\u2028🦀",
    "x" * 90, "é" * 60, [], ["a"], [1, None, 2.0], [[1]], [{"a": [1]}], {}, {"a": 1}, {"a": {"b": [1.5, None, "q"]}}, ["1", "1"],
]  # fmt: skip
EXPRESSIONS = list("0123456789+-*/(). ") + ["1", "2.5", "**", "//", "(", ")", "...", "10", "0.1", "()", "3)(", "07", "1.", " 4"]


def expression(rng):
    return "".join(rng.choice(EXPRESSIONS) for _ in range(rng.randrange(1, 8)))


class Calls:
    """Seeded random calls of a domain's tools."""

    def __init__(self, reference, rng):
        self.rng = rng
        self.domain = reference.domain
        self.tools = []
        env = reference.fresh()
        self.db = env.tools.db.model_dump(mode="json")
        for side, kit in [("assistant", env.tools), ("user", env.user_tools)]:
            if kit is not None:
                self.tools += [(side, name, list(tool.params.model_fields)) for name, tool in kit.get_tools().items()]
        self.pool = {}
        self.collect(self.db)
        self.gold = [
            {"side": action.requestor, "name": action.name, "arguments": action.arguments}
            for task in reference.tasks
            for action in (task.evaluation_criteria.actions if task.evaluation_criteria else None) or []
        ]
        for call in self.gold:
            for name, value in call["arguments"].items():
                self.pool.setdefault(name, []).append(value)
        self.functions = [
            {"side": call.env_type, "name": call.func_name, "arguments": call.arguments, "function": True}
            for task in reference.tasks
            for call in [
                *((task.initial_state.initialization_actions if task.initial_state else None) or []),
                *((task.evaluation_criteria.env_assertions if task.evaluation_criteria else None) or []),
            ]
        ]

    def collect(self, value):
        if isinstance(value, dict):
            for name, field in value.items():
                if isinstance(field, (str, int, float)) or (isinstance(field, list) and len(field) < 4):
                    self.pool.setdefault(name, []).append(field)
                self.collect(field)
        elif isinstance(value, list):
            for item in value:
                self.collect(item)

    def value(self, name):
        rng = self.rng
        if name == "expression":
            return expression(rng)
        if rng.random() < 0.06:
            return copy.deepcopy(rng.choice(ODD))
        names = {"payment_id": ["id", "payment_id"], "id": [*self.ids()], "new_item_ids": ["item_ids", "new_item_ids"]}
        pool = [value for key in names.get(name, [name]) for value in self.pool.get(key, [])]
        return copy.deepcopy(rng.choice(pool)) if pool else copy.deepcopy(rng.choice(ODD))

    def ids(self):
        return [name for name in self.pool if name.endswith("_id")]

    def linked(self):
        """Calls whose arguments fit each other, so that they get past the first checks."""
        rng = self.rng
        if self.domain == "retail":
            order = rng.choice(list(self.db["orders"].values()))
            user = self.db["users"][order["user_id"]]
            items = rng.sample(order["items"], rng.randrange(0, len(order["items"]) + 1))
            if items and rng.random() < 0.1:
                items.append(rng.choice(items))
            new = [rng.choice(list(self.db["products"][item["product_id"]]["variants"])) for item in items]
            if new and rng.random() < 0.1:
                new.pop()
            method = rng.choice(list(user["payment_methods"]) + [order["payment_history"][0]["payment_method_id"]])
            tool = {
                "pending": ["cancel_pending_order", "modify_pending_order_items", "modify_pending_order_payment", "modify_pending_order_address"],
                "delivered": ["exchange_delivered_order_items", "return_delivered_order_items"],
            }.get(order["status"], ["get_order_details", "get_user_details", "find_user_id_by_email", "find_user_id_by_name_zip"])  # fmt: skip
            known = {
                "order_id": order["order_id"], "user_id": user["user_id"], "item_ids": [item["item_id"] for item in items],
                "new_item_ids": new, "payment_method_id": method, "email": user["email"].upper(), **user["address"],
                "reason": rng.choice(["no longer needed", "ordered by mistake", "other"]), **user["name"],
            }  # fmt: skip
            name = rng.choice(tool)
            fields = next(fields for _, tool, fields in self.tools if tool == name)
            return {"side": "assistant", "name": name, "arguments": {field: known[field] for field in fields}}
        if self.domain == "airline":
            return self.flight()
        return copy.deepcopy(rng.choice(self.gold)) if self.gold else self.random()

    def flight(self):
        rng = self.rng
        reservation = rng.choice(list(self.db["reservations"].values()))
        user = self.db["users"][reservation["user_id"]]
        flight = rng.choice(list(self.db["flights"].values()))
        cabin = rng.choice(["business", "economy", "basic_economy"])
        open_dates = [day for day, state in flight["dates"].items() if state["status"] == "available"]
        date = rng.choice(open_dates or list(flight["dates"]))
        flights = [{"flight_number": flight["flight_number"], "date": date}]
        if rng.random() < 0.5:
            flights = [{key: leg[key] for key in ("flight_number", "date")} for leg in reservation["flights"]]
        passengers = copy.deepcopy(reservation["passengers"] if rng.random() < 0.7 else user["saved_passengers"])
        method = rng.choice(list(user["payment_methods"]))
        price = flight["dates"][date].get("prices", {}).get(cabin, 100)
        bags, insurance = rng.randrange(3), rng.choice(["yes", "no"])
        total = (price + (30 if insurance == "yes" else 0)) * len(passengers) + 50 * bags
        name = rng.choice(["book_reservation"] * 3 + ["update_reservation_flights"] * 3 + [
            "update_reservation_baggages", "update_reservation_passengers", "cancel_reservation", "send_certificate",
            "search_direct_flight", "search_onestop_flight", "get_flight_status",
        ])  # fmt: skip
        if name == "book_reservation":
            flights = [{"flight_number": flight["flight_number"], "date": date}]
        known = {
            "user_id": user["user_id"], "reservation_id": reservation["reservation_id"], "origin": flight["origin"],
            "destination": flight["destination"], "flight_type": "one_way", "cabin": cabin, "flights": flights, "date": date,
            "passengers": passengers, "payment_methods": [{"payment_id": method, "amount": total}], "total_baggages": bags + 1,
            "nonfree_baggages": bags, "insurance": insurance, "payment_id": method, "flight_number": flight["flight_number"],
            "amount": rng.choice([50, 100, 2.0, "7", 1.5]),
        }  # fmt: skip
        fields = next(fields for _, tool, fields in self.tools if tool == name)
        return {"side": "assistant", "name": name, "arguments": {field: known[field] for field in fields}}

    def random(self):
        side, name, fields = self.rng.choice(self.tools)
        return {"side": side, "name": name, "arguments": {field: self.value(field) for field in fields}}

    def call(self):
        rng = self.rng
        kind = rng.random()
        if kind < 0.5:
            call = self.linked()
        elif kind < 0.6 and self.gold:
            call = copy.deepcopy(rng.choice(self.gold))
        elif kind < 0.72 and self.functions:
            call = copy.deepcopy(rng.choice(self.functions))
        else:
            call = self.random()
        arguments = call["arguments"]
        edit = rng.random()
        if edit < 0.12 and arguments:
            arguments[rng.choice(list(arguments))] = copy.deepcopy(rng.choice(ODD))
        elif edit < 0.16 and arguments:
            for name in rng.sample(list(arguments), rng.randrange(1, len(arguments) + 1)):
                del arguments[name]
        elif edit < 0.19:
            arguments[rng.choice(["extra", "order", "self", "tool_name", "requestor", "kwargs"])] = 1
        elif edit < 0.20:
            call["side"] = rng.choice(["assistant", "user"])
        elif edit < 0.21 and not call.get("function"):
            call["name"] = rng.choice(["nope", "", call["name"] + "s", "_get_order", "use_tool"])
        elif edit < 0.28 and arguments:
            name = rng.choice(list(arguments))
            arguments[name] = self.deep(arguments[name])
        return call

    def deep(self, value):
        """The value with something inside changed."""
        rng = self.rng
        if isinstance(value, list) and value and rng.random() < 0.9:
            at = rng.randrange(len(value))
            return [self.deep(item) if i == at else item for i, item in enumerate(value)]
        if isinstance(value, dict) and value and rng.random() < 0.9:
            value, at = dict(value), rng.choice(list(value))
            if rng.random() < 0.3:
                del value[at]
            else:
                value[at] = self.deep(value[at])
            return value
        return copy.deepcopy(rng.choice(ODD))


def edited_run(ref, task, calls, rng):
    """A conversation made of the task's reference solution by random edits, with the results that the reference gives."""
    from tau2.data_model.message import AssistantMessage, ToolCall, UserMessage

    criteria = task.evaluation_criteria
    plan = [
        {"side": action.requestor, "name": action.name, "arguments": copy.deepcopy(action.arguments)}
        for action in (criteria.actions if criteria else None) or []
    ]
    for _ in range(rng.choice([0, 0, 1, 1, 2, 4])):
        edit = rng.random()
        if edit < 0.3 and plan:
            plan.pop(rng.randrange(len(plan)))
        elif edit < 0.5:
            call = calls.call()
            if not call.get("function"):
                plan.insert(rng.randrange(len(plan) + 1), call)
        elif edit < 0.6 and len(plan) > 1:
            rng.shuffle(plan)
        elif edit < 0.7 and plan:
            plan.append(copy.deepcopy(rng.choice(plan)))
        elif plan:
            call = rng.choice(plan)
            if call["arguments"]:
                name = rng.choice(list(call["arguments"]))
                call["arguments"][name] = calls.value(name) if rng.random() < 0.5 else calls.deep(call["arguments"][name])
    env = ref.start(task)
    messages = list((task.initial_state.message_history if task.initial_state else None) or [])
    said = list((criteria.communicate_info if criteria else None) or [])
    for i, call in enumerate(plan):
        if rng.random() < 0.2 and said:
            text = rng.choice(said)
            messages.append(AssistantMessage(role="assistant", content=f"It is {rng.choice([text, text.upper(), text[:-1]])}, thanks."))
        tool_call = ToolCall(id=f"c{i}", name=call["name"], arguments=call["arguments"], requestor=call["side"])
        role = AssistantMessage if call["side"] == "assistant" else UserMessage
        messages.append(role(role=call["side"], tool_calls=[tool_call]))
        result = env.get_response(tool_call)
        if rng.random() < 0.02:
            result.content += " "
        if rng.random() < 0.01:
            result.content = "changed"
        messages.append(result)
    for text in said:
        if rng.random() < 0.7:
            messages.append(AssistantMessage(role="assistant", content=f"So {text}."))
    return messages, rng.choice(["user_stop"] * 8 + ["agent_stop", "max_steps"])


class Ours:
    def __init__(self, data, airline):
        self.arguments = [Path(data).resolve(), Path(airline).resolve()]

    def ask(self, lines):
        return ask("hone-tau", "replay", self.arguments, lines)


def compare(what, lines, theirs, ours, show):
    wrong = [(line, a, b) for line, a, b in zip(lines, theirs, ours, strict=True) if a != b]
    for line, a, b in wrong[:show]:
        if "results" in a:
            for call, x, y in zip(line["calls"], a["results"], b["results"]):
                if x != y:
                    print(f"    {json.dumps(call)[:600]}\n      theirs {x}\n      ours   {y}")
                    break
            else:
                print(f"    hashes: theirs {a['assistant']} {a['user']}, ours {b['assistant']} {b['user']} {json.dumps(line['calls'])[:3000]}")
        else:
            print(f"    theirs {a}\n    ours   {b}")
    print(f"  {what}: {len(lines)}, disagreements {len(wrong)}")
    return len(wrong)


def dumped(task):
    return json.loads(task.model_dump_json())


def check(domain, constructors, ours, options):
    ref = Reference(domain, constructors)
    rng = random.Random(f"{options.seed}/{domain}")
    print(domain)
    [tools] = ours.ask([{"domain": domain, "tools": True}])
    for kit in tools.values():
        for tool in kit.values():
            tool["schema"] = plain(tool["schema"])
    theirs = ref.schemas()
    flat = lambda kits: [(side, name, tool) for side, kit in sorted(kits.items()) for name, tool in sorted(kit.items())]
    wrong = compare("tool schemas", flat(theirs), flat(theirs), flat(tools), options.show)

    lines = []
    for task in ref.tasks:
        actions = (task.evaluation_criteria.actions if task.evaluation_criteria else None) or []
        calls = [{"side": a.requestor, "name": a.name, "arguments": a.arguments} for a in actions]
        lines.append({"domain": domain, "task": dumped(task), "calls": calls})
    theirs = [ref.play(line["calls"], task) for line, task in zip(lines, ref.tasks)]
    wrong += compare("reference solutions", lines, theirs, ours.ask(lines), options.show)

    if domain == "telecom":
        wrong += check_generated(ours, options)

    calls = Calls(ref, rng)
    lines, tasks = [], []
    for _ in range(options.lists):
        task = rng.choice([None, None, *ref.tasks])
        tasks.append(task)
        made = [calls.call() for _ in range(rng.randrange(1, 13))]
        lines.append({"domain": domain, "calls": made, **({"task": dumped(task)} if task else {})})
    theirs = [ref.play(copy.deepcopy(line["calls"]), task) for line, task in zip(lines, tasks)]
    wrong += compare("random call lists", lines, theirs, ours.ask(lines), options.show)
    failed = sum(error for answer in theirs for _, error in answer["results"])
    print(f"    calls {sum(len(line['calls']) for line in lines)}, of them errors {failed}")

    lines, theirs = [], []
    for _ in range(options.runs):
        task = rng.choice(ref.tasks).model_copy(deep=True)
        criteria = task.evaluation_criteria
        if criteria:
            criteria.nl_assertions = None  # no judge here
            from tau2.data_model.tasks import RewardType

            basis = [kind for kind in criteria.reward_basis if kind != RewardType.NL_ASSERTION]
            criteria.reward_basis = basis if rng.random() < 0.6 else [k for k in RewardType if k != RewardType.NL_ASSERTION]
            for action in criteria.actions or []:
                if rng.random() < 0.2:
                    action.compare_args = rng.sample(list(action.arguments), rng.randrange(len(action.arguments) + 1))
        try:
            messages, termination = edited_run(ref, task, calls, rng)
        except Exception as error:
            sys.exit(f"cannot make a run of task {task.id}: {error!r}")
        theirs.append(ref.reward(task, messages, termination))
        messages = [json.loads(message.model_dump_json()) for message in messages]
        lines.append({"domain": domain, "task": dumped(task), "messages": messages, "termination": termination})
    answers = ours.ask(lines)
    # Both refuse what cannot be replayed; in words of their own.
    for ours_, theirs_ in zip(answers, theirs):
        if "error" in ours_ and "error" in theirs_:
            theirs_["error"] = ours_["error"]
    wrong += compare("rewards of edited runs", lines, theirs, answers, options.show)
    rewards = [answer.get("reward") for answer in theirs]
    print(f"    rewarded {rewards.count(1.0)}, not rewarded {rewards.count(0.0)}, refused {rewards.count(None)}")
    return wrong


def check_generated(ours, options):
    """The generated task set: every task field by field."""
    from tau2.domains.telecom.tasks.mms_issues import mms_issue_task_manager as mms
    from tau2.domains.telecom.tasks.mobile_data_issues import mobile_data_task_manager as data
    from tau2.domains.telecom.tasks.service_issues import service_issues_task_manager as service
    from tau2.domains.telecom.tasks.const import PERSONAS
    from tau2.domains.telecom.tasks.utils import compose_tasks
    from tau2.domains.telecom.environment import get_environment
    import tau2.domains.telecom.tasks.manager as manager

    # Loading the databases for each task is most of the time.
    first = get_environment()
    db, user_db = first.tools.db, first.user_tools.db
    manager.get_environment = lambda: get_environment(db.model_copy(deep=True), user_db.model_copy(deep=True))
    theirs = []
    for issue in [data, service, mms]:
        composed = sorted(compose_tasks(issue.selection_sets, issue.task_validator), key=lambda x: len(x.composed_from))
        for i, task in enumerate(composed):
            theirs.append(dumped(issue.create_task(task, list(PERSONAS)[i % len(PERSONAS)])))
    for task in theirs:
        del task["description"], task["issues"], task["required_documents"]
    [answer] = ours.ask([{"domain": "telecom", "generate": True}])
    return compare("generated tasks", theirs, theirs, answer, options.show)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkout", nargs="?", default=os.environ.get("TAU2"))
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data" / "tau2")
    parser.add_argument("--airline", type=Path, help="τ-bench's airline data; default: beside DATA")
    parser.add_argument("--domains", default="mock,retail,telecom,airline")
    parser.add_argument("--lists", type=int, default=600)
    parser.add_argument("--runs", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=3, help="how many disagreements of a kind to print")
    options = parser.parse_args()
    if not options.checkout:
        parser.error("say where the checkout of tau2-bench is")
    airline = options.airline or options.data.parent / "tau-bench" / "airline"
    with tempfile.TemporaryDirectory() as place:
        lay_out(options.data, Path(place), airline)
        constructors = reference(options.checkout, place)
        ours = Ours(options.data, airline)
        wrong = sum(check(domain, constructors, ours, options) for domain in options.domains.split(","))
    print(f"disagreements: {wrong}")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
