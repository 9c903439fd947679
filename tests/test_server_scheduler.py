import threading
import time

import pytest
from server_support import GRID, open_local_server

from bpsweep.server import app as app_module
from bpsweep.server import scheduler

HYPERBAND = """
program: t.py
method: random
metric: {name: loss, goal: minimize}
early_terminate: {type: hyperband, min_iter: 2, eta: 2}
parameters: {a: {min: 0.0, max: 1.0}}
"""


@pytest.fixture
def server(tmp_path):
    with open_local_server(tmp_path / "store", lease_seconds=60) as opened:
        yield opened


def get_run_command(server, agent, *alive):
    (command,) = server.beat(agent, *alive)
    assert command["type"] == "run"
    return command


def work(server, command, loss=1.0, exit_code=0):
    server.start_run(command["run_id"])
    server.log(command["run_id"], {"loss": loss})
    server.finish(command["run_id"], exit_code)


def read_values(command):
    return {name: entry["value"] for name, entry in command["args"].items()}


def pass_time(server, monkeypatch, seconds):
    """Let the server's clock run ahead."""
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + seconds)


def test_a_grid_is_worked_off_once_and_ends(server):
    sweep = server.make_sweep()
    assert sweep["state"] == "PENDING"
    agents = [server.make_agent(sweep) for _ in range(2)]
    seen = []
    for turn in range(4):
        command = get_run_command(server, agents[turn % 2])
        assert command["program"] == "train.py"
        seen.append(read_values(command))
        work(server, command)
    assert seen == [{"a": a, "b": b} for a in (1, 2) for b in (0, 5)]
    assert server.beat(agents[0]) == [{"type": "exit"}]
    progress = server.progress(sweep)
    assert (progress["state"], progress["expected"]) == ("FINISHED", 4)
    assert progress["counts"] == {"finished": 4}
    assert server.beat(agents[1]) == [{"type": "exit"}]
    assert server.retry(sweep)["retried"] == []


def test_agents_at_once_never_get_the_same_point(server):
    points = 60
    sweep = server.make_sweep(f"method: grid\nparameters: {{a: {{values: {list(range(points))}}}}}")
    handed_out, failures = [], []

    def drive(agent):
        try:
            while (commands := server.beat(agent)) != [{"type": "exit"}]:
                for command in commands:
                    handed_out.append(read_values(command)["a"])
                    work(server, command)
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=drive, args=(server.make_agent(sweep),)) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert sorted(handed_out) == list(range(points))


def test_a_busy_agent_gets_nothing_more(server):
    agent = server.make_agent(server.make_sweep())
    command = get_run_command(server, agent)
    assert server.beat(agent, command["run_id"]) == []
    server.start_run(command["run_id"])
    assert server.beat(agent, command["run_id"]) == []


def test_a_lost_answer_is_given_again(server):
    agent = server.make_agent(server.make_sweep())
    first = get_run_command(server, agent)
    assert server.beat(agent) == [first]
    # Another start of the server on the same file: the answer was lost with the first.
    with open_local_server(server.store) as second:
        assert second.beat(agent) == [first]


def test_a_program_that_dies_before_it_starts_crashes_and_is_not_repeated(server, monkeypatch):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    first = get_run_command(server, agent)
    pass_time(server, monkeypatch, scheduler.REDELIVERY_S + 1)
    second = get_run_command(server, agent)
    assert second["run_id"] != first["run_id"]
    assert server.find_run(first["run_id"])["state"] == "crashed"
    # The same where the agent has said that the program ran.
    server.beat(agent, second["run_id"])
    get_run_command(server, agent)
    run = server.find_run(second["run_id"])
    assert (run["state"], "before it called wandb.init" in run["stateReason"]) == ("crashed", True)


def test_silence_crashes_a_run_and_retry_hands_it_out_again(server, monkeypatch):
    sweep = server.make_sweep()
    lost, other = server.make_agent(sweep), server.make_agent(sweep)
    first = get_run_command(server, lost)
    server.start_run(first["run_id"])
    server.log(first["run_id"], {"loss": 3.0})
    for _ in range(3):
        work(server, get_run_command(server, other))
    assert server.beat(other) == [{"type": "exit"}]
    assert server.progress(sweep)["state"] == "RUNNING"

    pass_time(server, monkeypatch, 61)
    assert app_module.expire_leases(server.context) == [first["run_id"]]
    assert server.find_run(first["run_id"])["state"] == "crashed"
    assert server.progress(sweep)["state"] == "FINISHED"
    assert server.beat(other) == [{"type": "exit"}]

    answer = server.retry(sweep)
    assert [entry["retry_of"] for entry in answer["retried"]] == [first["run_id"]]
    assert answer["state"] == "RUNNING"
    assert server.retry(sweep)["retried"] == []
    again = get_run_command(server, other)
    assert again["args"] == first["args"]
    assert again["run_id"] != first["run_id"]
    assert server.find_run(again["run_id"])["retryOf"] == first["run_id"]
    # The lost program comes back: it is told to stop and cannot become finished.
    assert server.log(first["run_id"])["stopped"] is True
    assert server.beat(lost, first["run_id"]) == [{"type": "stop", "run_id": first["run_id"]}]
    server.finish(first["run_id"])
    work(server, again)
    progress = server.progress(sweep)
    assert progress["counts"] == {"crashed": 1, "finished": 4}
    assert progress["state"] == "FINISHED"


def test_a_crashed_run_that_speaks_again_goes_on(server, monkeypatch):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    command = get_run_command(server, agent)
    server.start_run(command["run_id"])
    pass_time(server, monkeypatch, 61)
    app_module.expire_leases(server.context)
    server.retry(sweep)
    server.log(command["run_id"], {"loss": 1.0})
    assert server.find_run(command["run_id"])["state"] == "running"
    assert server.progress(sweep)["counts"] == {"running": 1}  # the queued retry is withdrawn


def test_an_agents_word_keeps_a_quiet_run_alive(server, monkeypatch):
    agent = server.make_agent(server.make_sweep())
    command = get_run_command(server, agent)
    server.start_run(command["run_id"])
    pass_time(server, monkeypatch, 59)
    server.beat(agent, command["run_id"])
    pass_time(server, monkeypatch, 59)
    assert app_module.expire_leases(server.context) == []


def test_crashed_configurations_come_back_by_themselves_where_asked(tmp_path, monkeypatch):
    with open_local_server(tmp_path / "store", lease_seconds=60, max_attempts=2) as server:
        sweep = server.make_sweep("method: grid\nparameters: {a: {values: [1]}}")
        agent = server.make_agent(sweep)
        first = get_run_command(server, agent)
        server.start_run(first["run_id"])
        idle = server.make_agent(sweep)
        assert server.beat(idle) == []  # it may be needed yet
        pass_time(server, monkeypatch, 61)
        app_module.expire_leases(server.context)
        again = get_run_command(server, idle)
        assert again["args"] == first["args"]
        server.start_run(again["run_id"])
        pass_time(server, monkeypatch, 61)
        app_module.expire_leases(server.context)
        assert server.beat(idle) == [{"type": "exit"}]


def test_abandoned_runs_are_retried_at_once(server):
    sweep = server.make_sweep()
    command = get_run_command(server, server.make_agent(sweep))
    server.start_run(command["run_id"])
    server.set_state(sweep, "FINISHED")
    assert server.retry(sweep, abandoned=True)["state"] == "RUNNING"
    again = get_run_command(server, server.make_agent(sweep))
    assert again["args"] == command["args"]
    assert server.http.post("/api/sweeps/bpsweep/p/nope/retry").status_code == 401


def test_failed_runs_are_not_repeated_without_asking(server):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    for _ in range(4):
        work(server, get_run_command(server, agent), exit_code=1)
    assert server.beat(agent) == [{"type": "exit"}]
    assert server.progress(sweep)["state"] == "FINISHED"
    assert len(server.retry(sweep)["retried"]) == 4
    work(server, get_run_command(server, agent))


def test_a_preempted_run_comes_back_under_its_own_name(server):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    command = get_run_command(server, agent)
    server.start_run(command["run_id"])
    server.log(command["run_id"], {"loss": 1.0}, preempting=True)
    assert server.find_run(command["run_id"])["state"] == "preempting"
    server.finish(command["run_id"], 1)
    assert server.find_run(command["run_id"])["state"] == "preempted"
    (resumed,) = server.beat(server.make_agent(sweep))
    assert resumed == {**command, "type": "resume"}
    assert server.find_run(command["run_id"])["historyLineCount"] == 1


def test_pause_resume_stop_and_cancel(server):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    command = get_run_command(server, agent)
    server.start_run(command["run_id"])
    server.set_state(sweep, "PAUSED")
    assert server.beat(agent, command["run_id"]) == []
    server.finish(command["run_id"])
    assert server.beat(agent) == []
    server.set_state(sweep, "RUNNING")
    second = get_run_command(server, agent)
    server.start_run(second["run_id"])
    server.set_state(sweep, "FINISHED")
    assert server.beat(agent, second["run_id"]) == []  # it may end its run
    server.finish(second["run_id"])
    assert server.beat(agent) == [{"type": "exit"}]

    canceled = server.make_sweep()
    agent = server.make_agent(canceled)
    command = get_run_command(server, agent)
    server.start_run(command["run_id"])
    server.set_state(canceled, "CANCELED")
    assert server.find_run(command["run_id"])["stopped"] is True
    stop = {"type": "stop", "run_id": command["run_id"]}
    assert server.beat(agent, command["run_id"]) == [stop]
    assert server.beat(agent) == [{"type": "exit"}]
    run = server.find_run(command["run_id"])
    assert (run["state"], run["stopReason"]) == ("killed", "the sweep was canceled")


def test_hyperband_stops_a_run_and_says_why(server, monkeypatch):
    sweep = server.make_sweep(HYPERBAND)
    agents = [server.make_agent(sweep) for _ in range(4)]
    commands = [get_run_command(server, agent) for agent in agents]
    for level, command in enumerate(commands):
        server.start_run(command["run_id"])
        answer = server.log(command["run_id"], *[{"loss": float(level)}] * 4)
    worst = commands[-1]["run_id"]
    assert answer["stopped"] is True
    assert server.find_run(commands[0]["run_id"])["stopped"] is False
    assert server.beat(agents[-1], worst) == []  # time to end by itself
    pass_time(server, monkeypatch, scheduler.STOP_GRACE_S + 1)
    assert server.beat(agents[-1], worst) == [{"type": "stop", "run_id": worst}]
    server.finish(worst, 255)
    run = server.find_run(worst)
    assert run["state"] == "finished"
    assert run["stopReason"].startswith("hyperband: after 4 values of loss")
    assert server.retry(sweep)["retried"] == []


def test_run_cap_and_target_end_a_sweep(server):
    capped = server.make_sweep(GRID + "run_cap: 1\n")
    agent = server.make_agent(capped)
    work(server, get_run_command(server, agent))
    assert server.beat(agent) == [{"type": "exit"}]
    assert server.progress(capped)["expected"] == 1

    aimed = server.make_sweep(GRID.replace("goal: minimize", "goal: minimize, target: 0.5"))
    agent = server.make_agent(aimed)
    work(server, get_run_command(server, agent), loss=0.6)
    work(server, get_run_command(server, agent), loss=0.4)
    assert server.beat(agent) == [{"type": "exit"}]
    assert "reached the target" in server.progress(aimed)["state_reason"]


def test_prior_runs_are_not_repeated(server):
    server.start_run("prior", config='{"a": {"value": 1}, "b": {"value": 0}}')
    server.finish("prior")
    mutation = """mutation U($c: String, $f: JSONString) { upsertSweep(input: {config: $c,
        entityName: "bpsweep", projectName: "p", priorRunsFilters: $f}) { sweep { id name
        priorRuns { edges { node { name } } } } } }"""
    filters = '{"$or": [{"name": "prior"}]}'
    sweep = server.query(mutation, c=GRID, f=filters)["upsertSweep"]["sweep"]
    assert sweep["priorRuns"]["edges"] == [{"node": {"name": "prior"}}]
    agent = server.make_agent(sweep)
    seen = []
    for _ in range(3):
        command = get_run_command(server, agent)
        seen.append(read_values(command))
        work(server, command)
    assert {"a": 1, "b": 0} not in seen
    assert server.beat(agent) == [{"type": "exit"}]


def test_a_sweep_is_changed_only_before_it_begins(server):
    mutation = """mutation U($id: ID, $c: String) { upsertSweep(input: {id: $id, config: $c}) {
        sweep { runCountExpected } } }"""
    sweep = server.make_sweep()
    changed = GRID.replace("[1, 2]", "[1, 2, 3]")
    answer = server.query(mutation, id=sweep["id"], c=changed)
    assert answer["upsertSweep"]["sweep"]["runCountExpected"] == 6
    get_run_command(server, server.make_agent(sweep))
    refused = server.ask(mutation, id=sweep["id"], c=GRID)
    assert refused.status_code == 409
    assert "has begun" in refused.json()["errors"][0]["message"]


def test_name_and_run_cap_of_a_sweep_at_work_can_be_changed(server):
    mutation = """mutation U($id: ID, $c: String) { upsertSweep(input: {id: $id, config: $c}) {
        sweep { displayName runCountExpected state } } }"""
    sweep = server.make_sweep(f"{GRID}\nrun_cap: 1\n")
    agent = server.make_agent(sweep)
    work(server, get_run_command(server, agent))
    assert server.beat(agent) == [{"type": "exit"}]
    assert server.progress(sweep)["state"] == "FINISHED"
    answer = server.query(mutation, id=sweep["id"], c=f"{GRID}\nname: new\nrun_cap: 3\n")
    changed = {"displayName": "new", "runCountExpected": 3, "state": "RUNNING"}
    assert answer["upsertSweep"]["sweep"] == changed
    for _ in range(2):
        work(server, get_run_command(server, agent))
    assert server.beat(agent) == [{"type": "exit"}]


def test_agents_of_a_deleted_sweep_are_told(server):
    sweep = server.make_sweep()
    agent = server.make_agent(sweep)
    server.query(
        "mutation D($id: ID!) { deleteSweep(input: {id: $id}) { success } }", id=sweep["id"]
    )
    beat = 'mutation H($id: ID!) { agentHeartbeat(input: {id: $id, runState: "{}"}) { commands } }'
    assert server.ask(beat, id=agent).status_code == 404
