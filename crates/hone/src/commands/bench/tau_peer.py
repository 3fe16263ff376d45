"""τ²-bench's own scorer as a peer: plays and judges retail's reference solutions.

Started with a job file {"checkout", "data", "tasks": [id, …]}: a checkout of tau2-bench, the folder with the domains'
folders, the tasks of one pass. Each line of input names a work; the answer is {"work", "seconds", "passed"}. The work
`retail_gold` is the original's own way: it reads its files for each world. In `retail_gold_in_memory` each world is made
of data that were read once. Wants what tests/parity/tau2.py wants.
"""

import json
import os
import sys
import time
import types
import warnings
from pathlib import Path


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


def load(job):
    """The retail domain and the evaluator of its world, without models, voices and plots."""
    source = Path(job["checkout"]) / "src"
    sys.path.insert(0, str(source))
    # The original wants the domains in a folder tau2/domains.
    place = Path(job["place"]) / "tau2"
    place.mkdir(parents=True)
    (place / "domains").symlink_to(Path(job["data"]).resolve(), target_is_directory=True)
    os.environ["TAU2_DATA_DIR"] = job["place"]
    stub("tau2").__path__ = [str(source / "tau2")]
    from loguru import logger

    logger.remove()
    warnings.simplefilter("ignore")
    stub("tau2.evaluator.evaluator_nl_assertions", NLAssertionsEvaluator=Nothing, FullDuplexNLAssertionsEvaluator=Nothing)
    for name in ["tau2.agent.base.streaming", "pandas"]:
        stub(name).__getattr__ = lambda attribute: Nothing
    constructors = {}
    stub("tau2.registry", registry=types.SimpleNamespace(get_env_constructor=lambda name: constructors[name]))
    from tau2.domains.retail import environment

    constructors["retail"] = environment.get_environment
    return environment


def main():
    job = json.loads(Path(sys.argv[1]).read_text())
    job["place"] = str(Path(sys.argv[1]).parent / "data")
    retail = load(job)
    from tau2.data_model.message import AssistantMessage, ToolCall
    from tau2.domains.retail.data_model import RetailDB
    from tau2.domains.retail.tools import RetailTools
    from tau2.domains.retail.utils import RETAIL_DB_PATH, RETAIL_POLICY_PATH
    from tau2.environment.environment import Environment
    from tau2.evaluator.evaluator_env import EnvironmentEvaluator
    from tau2.utils import load_file

    tasks = {task.id: task for task in retail.get_tasks(None)}
    tasks = [tasks[name] for name in job["tasks"]]

    parsed = load_file(RETAIL_DB_PATH)
    with open(RETAIL_POLICY_PATH) as file:
        policy = file.read()

    def in_memory(solo_mode=False):
        tools = RetailTools(RetailDB.model_validate(parsed))
        return Environment(domain_name="retail", policy=policy, tools=tools)

    makers = {"retail_gold": retail.get_environment, "retail_gold_in_memory": in_memory}

    def play(task, make):
        env = make()
        messages = []
        for i, action in enumerate(task.evaluation_criteria.actions or []):
            call = ToolCall(id=str(i), name=action.name, arguments=action.arguments, requestor=action.requestor)
            messages.append(AssistantMessage(role="assistant", tool_calls=[call]))
            messages.append(env.get_response(call))
        info = EnvironmentEvaluator.calculate_reward(make, task, messages)
        return bool(info.db_check and info.db_check.db_match)

    for line in sys.stdin:
        make = makers[line.strip()]
        start = time.perf_counter()
        passed = sum(play(task, make) for task in tasks)
        seconds = time.perf_counter() - start
        print(json.dumps({"work": line.strip(), "seconds": seconds, "passed": passed}), flush=True)


main()
