"""The real SDK launches, watches, steers and uses simulated fine-tuning jobs, in time that the test lets go by."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from support.simulated_tuning import (
    MESSAGES,
    PROMPT,
    QUEUE_S,
    RANKED,
    TRAIN_S,
    Service,
    assert_as_declared,
    lines,
    service,
)

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module", autouse=True)
def sdk() -> Any:
    """Half a second of imports that is no test's own."""
    return importlib.import_module("openai")


async def texts(served: Service, job: Any, **asked: Any) -> list[str]:
    return [event.message async for event in served.openai.fine_tuning.jobs.list_events(job.id, **asked)]


async def test_a_job_goes_from_validation_to_a_model_by_the_servers_clock() -> None:
    """A job passes validating, queued and running to succeeded exactly when the clock reaches each stage."""
    async with service() as served:
        job = await served.create(suffix="hero", seed=7, metadata={"run": "a"})
        assert_as_declared(job)
        assert ("validating_files", "m", 7, {"run": "a"}) == (job.status, job.model, job.seed, job.metadata)
        assert (None, None, None, []) == (
            job.fine_tuned_model,
            job.finished_at,
            job.trained_tokens,
            job.result_files,
        )
        assert "queued" == (await served.later(job, QUEUE_S / 2)).status
        running = await served.later(job, QUEUE_S / 2)
        assert ("running", job.created_at + QUEUE_S + TRAIN_S, None) == (
            running.status,
            running.estimated_finish,
            running.finished_at,
        )
        assert "running" == (await served.later(job, TRAIN_S - 0.1)).status
        done = await served.later(job, 1000.0)
        assert_as_declared(done)
        assert ("succeeded", job.created_at + QUEUE_S + TRAIN_S) == (done.status, done.finished_at)
        assert done.fine_tuned_model.startswith("ft:m:simulated:hero:")
        size = -(-len(lines(MESSAGES, 1).strip()) // 4)
        assert 3 * 12 * size == done.trained_tokens
        assert (3, 1, 2.0) == tuple(done.hyperparameters.model_dump()[name] for name in _CHOSEN)
        assert 1 == served.server.stats()["jobs_created"]


_CHOSEN = ("n_epochs", "batch_size", "learning_rate_multiplier")


async def test_events_are_newest_first_and_come_in_pages() -> None:
    """Events come newest first, and pages joined by cursor equal the whole list."""
    async with service() as served:
        job = await served.create()
        assert ["Validating the training file", f"Created fine-tuning job: {job.id}"] == await texts(served, job)
        job = await served.later(job, 1000.0)
        told = await texts(served, job, limit=7)
        assert told == await texts(served, job, limit=100)
        assert [
            "The job has successfully completed",
            f"New fine-tuned model created: {job.fine_tuned_model}",
        ] == told[:2]
        first = await served.openai.fine_tuning.jobs.list_events(job.id, limit=2)
        assert (True, told[:2]) == (first.has_more, [event.message for event in first.data])
        next_page = await served.openai.fine_tuning.jobs.list_events(job.id, limit=100, after=first.data[-1].id)
        assert (False, told[2:]) == (next_page.has_more, [event.message for event in next_page.data])
        for event in first.data + next_page.data:
            assert_as_declared(event)


async def test_the_loss_falls_and_is_the_same_for_the_same_seed() -> None:
    """Training loss falls over the 36 steps, is repeated by the same seed, and differs for another."""
    async with service() as served:
        file, unseen = await served.upload(), await served.upload(rows=3)
        jobs = [await served.create(file, validation_file=unseen.id, seed=seed) for seed in (1, 1, 2)]
        await served.later(jobs[0], 1000.0)
        curves = []
        for job in jobs:
            events = [event async for event in served.openai.fine_tuning.jobs.list_events(job.id, limit=100)]
            measured = [event.data for event in reversed(events) if event.type == "metrics"]
            assert list(range(1, 37)) == [one["step"] for one in measured]
            assert {36} == {one["total_steps"] for one in measured}
            curves.append([(one["train_loss"], one["valid_loss"]) for one in measured])
        assert curves[0] == curves[1] != curves[2]
        for place in (0, 1):
            losses = [pair[place] for pair in curves[0]]
            assert 0 < sum(losses[-6:]) < 0.6 * sum(losses[:6])


async def test_checkpoints_of_the_last_three_epochs_are_kept_and_answer() -> None:
    """Only the last three epochs keep checkpoints, and their models are listed and answer completions."""
    async with service() as served:
        hyperparameters = {"n_epochs": 5, "batch_size": 4}
        method = {"type": "supervised", "supervised": {"hyperparameters": hyperparameters}}
        job = await served.later(await served.create(method=method), 1000.0)
        kept = [one async for one in served.openai.fine_tuning.jobs.checkpoints.list(job.id, limit=2)]
        for checkpoint in kept:
            assert_as_declared(checkpoint)
        assert [15, 12, 9] == [one.step_number for one in kept] == [one.metrics.step for one in kept]
        names = [one.fine_tuned_model_checkpoint for one in kept]
        assert [f"{job.fine_tuned_model}:ckpt-step-{step}" for step in (15, 12, 9)] == names
        assert {job.fine_tuned_model, *names, "simulated"} == {one.id async for one in served.openai.models.list()}
        answer = await served.openai.completions.create(model=names[1], prompt="Hi")
        assert names[1] == answer.model


async def test_the_results_are_a_file_of_steps_and_losses() -> None:
    """A finished job has one results file: a CSV with a row for each step and its loss."""
    async with service() as served:
        job = await served.later(await served.create(), 1000.0)
        (results,) = job.result_files
        assert "fine-tune-results" == (await served.openai.files.retrieve(results)).purpose
        rows = (await served.openai.files.content(results)).text.splitlines()
        assert ["step", "train_loss"] == rows[0].split(",")[:2]
        assert [str(step) for step in range(1, 37)] == [row.split(",")[0] for row in rows[1:]]
        assert 0 < float(rows[-1].split(",")[1]) < 1.5


async def test_the_tuned_model_differs_from_its_base_once_it_exists(sdk: Any) -> None:
    """The tuned model answers differently from its base, and only once it exists."""
    async with service(model="m") as served:

        async def ask(model: str) -> str:
            answer = await served.openai.completions.create(model=model, prompt="Who? ->", max_tokens=30)
            return str(answer.choices[0].text)

        job = await served.create()
        name = f"ft:m:simulated::{job.id.removeprefix('ftjob-')[:8]}"
        with pytest.raises(sdk.NotFoundError) as absent:
            await ask(name)
        assert "model_not_found" == absent.value.code
        job = await served.later(job, 1000.0)
        assert name == job.fine_tuned_model
        assert await ask(name) == await ask(name) != await ask("m")
        told = await served.openai.chat.completions.create(model=name, messages=MESSAGES["messages"][:1])
        assert (name, "assistant") == (told.model, told.choices[0].message.role)
        assert name == (await served.openai.models.retrieve(name)).id
        with pytest.raises(sdk.NotFoundError):
            await served.openai.models.retrieve("ft:m:other")
        again = await served.later(await served.create(model=name, suffix="more"), 1000.0)
        assert again.fine_tuned_model.startswith("ft:m:simulated:more:")


BAD_ORDERS: list[tuple[dict[str, Any], str, str | None]] = [
    ({"model": "nothing"}, "model", "model_not_available"),
    ({"model": "ft:m:x"}, "model", "model_not_available"),
    ({"model": None}, "model", "missing_required_parameter"),
    ({"training_file": "file-none"}, "training_file", None),
    ({"validation_file": "file-none"}, "validation_file", None),
    ({"suffix": "x" * 65}, "suffix", "string_above_max_length"),
    ({"suffix": 5}, "suffix", "invalid_type"),
    ({"seed": -1}, "seed", "integer_below_min_value"),
    ({"seed": 2**31}, "seed", "integer_above_max_value"),
    ({"seed": "x"}, "seed", "invalid_type"),
    ({"metadata": {str(number): "" for number in range(17)}}, "metadata", "object_above_max_properties"),
    ({"metadata": {"k": "v" * 513}}, "metadata", "string_above_max_length"),
    ({"metadata": {"k" * 65: ""}}, "metadata", "string_above_max_length"),
    ({"metadata": {"k": 1}}, "metadata", "invalid_type"),
    ({"hyperparameters": {"n_epochs": 0}}, "hyperparameters.n_epochs", "integer_below_min_value"),
    ({"hyperparameters": {"n_epochs": 51}}, "hyperparameters.n_epochs", "integer_above_max_value"),
    ({"hyperparameters": {"n_epochs": 1.5}}, "hyperparameters.n_epochs", "invalid_type"),
    ({"hyperparameters": {"batch_size": 257}}, "hyperparameters.batch_size", "integer_above_max_value"),
    (
        {"hyperparameters": {"learning_rate_multiplier": 11}},
        "hyperparameters.learning_rate_multiplier",
        "decimal_above_max_value",
    ),
    ({"hyperparameters": {"epochs": 3}}, "hyperparameters.epochs", "unknown_parameter"),
    ({"method": {"type": "reinforcement"}}, "method.type", "invalid_value"),
    (
        {"method": {"type": "dpo", "dpo": {"hyperparameters": {"beta": 3}}}},
        "method.dpo.hyperparameters.beta",
        "decimal_above_max_value",
    ),
    ({"extra_body": {"epochs": 3}}, "epochs", "unknown_parameter"),
    ({"integrations": [{"type": "wandb", "wandb": {"project": "p"}}]}, "integrations", "invalid_value"),
]


async def test_an_invalid_job_is_a_400_that_names_the_parameter(sdk: Any) -> None:
    """Every invalid job setting is refused with its parameter and code, and no job is created."""
    async with service(model="m") as served:
        file = await served.upload()
        for asked, param, code in BAD_ORDERS:
            with pytest.raises(sdk.BadRequestError) as caught:
                await served.create(file, **asked)
            error = caught.value
            assert (asked, param, code, "invalid_request_error") == (asked, error.param, error.code, error.type)
        assert 0 == served.server.stats()["jobs_created"]


async def test_a_file_of_another_purpose_can_not_train(sdk: Any) -> None:
    """A file uploaded as user_data is refused as a training file by name of the parameter."""
    async with service() as served:
        other = await served.upload(purpose="user_data")
        with pytest.raises(sdk.BadRequestError, match="user_data") as caught:
            await served.create(other)
        assert "training_file" == caught.value.param


ROWS: list[tuple[str, str, Any, str | None]] = [
    ("both", "supervised", MESSAGES, None),
    ("both", "supervised", PROMPT, None),
    ("messages", "supervised", MESSAGES, None),
    ("prompt-completion", "supervised", PROMPT, None),
    ("both", "dpo", RANKED, None),
    ("messages", "supervised", PROMPT, 'missing "messages"'),
    ("prompt-completion", "supervised", MESSAGES, 'missing "prompt" and "completion"'),
    ("both", "dpo", MESSAGES, '"input" is missing'),
    ("both", "supervised", RANKED, 'missing "messages", or "prompt"'),
    ("both", "supervised", [], "not a JSON object"),
    ("both", "supervised", {"prompt": "a", "completion": ""}, "must be text"),
    ("both", "supervised", {"messages": []}, "list of messages"),
    ("both", "supervised", {"messages": ["x"]}, "not an object"),
    ("both", "supervised", {"messages": [{"role": "hero", "content": "x"}]}, "'hero'"),
    ("both", "supervised", {"messages": [{"role": "assistant", "content": 5}]}, "content"),
    ("both", "supervised", {"messages": [{"role": "user", "content": "x"}]}, "assistant"),
]


@pytest.mark.parametrize("accepts", ["both", "messages", "prompt-completion"])
async def test_training_rows_are_checked_during_validation(accepts: str) -> None:
    """Rows of a shape the server doesn't accept fail the job in validation with the line and the reason."""
    async with service(accepts=accepts) as served:
        for _, method, row, wrong in (one for one in ROWS if one[0] == accepts):
            job = await served.create(await served.upload(row), method={"type": method})
            assert "validating_files" == job.status
            job = await served.later(job, QUEUE_S / 2)
            if wrong is None:
                assert "queued" == job.status
                continue
            assert_as_declared(job)
            assert ("failed", "invalid_file_format", "training_file") == (job.status, job.error.code, job.error.param)
            assert "Line 1" in job.error.message
            assert wrong in job.error.message
            assert (None, [job.error.message]) == (job.fine_tuned_model, (await texts(served, job))[:1])


async def test_fewer_than_ten_training_examples_fail_the_job() -> None:
    """Fewer than ten training examples fail the job; a validation file may have fewer."""
    async with service() as served:
        few, enough = await served.upload(rows=9), await served.upload(rows=10)
        job = await served.later(await served.create(few), QUEUE_S)
        assert ("failed", "invalid_n_examples", "training_file") == (job.status, job.error.code, job.error.param)
        assert "9 examples" in job.error.message
        assert "running" == (await served.later(await served.create(enough, validation_file=few.id), QUEUE_S)).status
        broken = await served.openai.files.create(file=("v.jsonl", b"{"), purpose="fine-tune")
        job = await served.later(await served.create(enough, validation_file=broken.id), QUEUE_S)
        assert ("failed", "validation_file") == (job.status, job.error.param)


@pytest.mark.parametrize("passed_s", [0.0, QUEUE_S / 2, QUEUE_S, QUEUE_S + TRAIN_S / 2])
async def test_an_unfinished_job_can_be_cancelled_for_good(passed_s: float, sdk: Any) -> None:
    """A job cancelled at any stage stays cancelled, has no model, and can't be cancelled twice."""
    async with service() as served:
        job = await served.later(await served.create(), passed_s)
        assert "cancelled" == (await served.openai.fine_tuning.jobs.cancel(job.id)).status
        later = await served.later(job, 1000.0)
        assert ("cancelled", None, job.created_at + passed_s) == (
            later.status,
            later.fine_tuned_model,
            later.finished_at,
        )
        with pytest.raises(sdk.BadRequestError, match="cancelled"):
            await served.openai.fine_tuning.jobs.cancel(job.id)
        assert 1 == served.server.stats()["job_cancels"]


async def test_a_finished_job_can_not_be_controlled(sdk: Any) -> None:
    """Cancel, pause and resume are refused for succeeded and failed jobs, and unknown jobs are a 404."""
    async with service() as served:
        jobs = served.openai.fine_tuning.jobs
        done = await served.create()
        failed = await served.create(await served.upload(rows=1))
        await served.later(done, 1000.0)
        for job in (done, failed):
            for steer in (jobs.cancel, jobs.pause, jobs.resume):
                with pytest.raises(sdk.BadRequestError) as caught:
                    await steer(job.id)
                assert "invalid_job_state" == caught.value.code
        with pytest.raises(sdk.NotFoundError) as absent:
            await jobs.cancel("ftjob-none")
        assert "fine_tune_not_found" == absent.value.code


async def test_a_paused_job_stands_still_until_it_is_resumed(sdk: Any) -> None:
    """A paused job makes no progress until resumed, then finishes its remaining time, and can be cancelled."""
    async with service() as served:
        jobs = served.openai.fine_tuning.jobs
        job = await served.later(await served.create(), QUEUE_S + TRAIN_S / 2)
        paused = await jobs.pause(job.id)
        assert ("paused", None) == (paused.status, paused.estimated_finish)
        with pytest.raises(sdk.BadRequestError):
            await jobs.pause(job.id)
        told = len(await texts(served, job))
        assert ("paused", told) == ((await served.later(job, 1000.0)).status, len(await texts(served, job)))
        assert "running" == (await jobs.resume(job.id)).status
        with pytest.raises(sdk.BadRequestError):
            await jobs.resume(job.id)
        assert "running" == (await served.later(job, TRAIN_S / 2 - 0.1)).status
        assert "succeeded" == (await served.later(job, 0.2)).status
        cancelled = await served.create()
        await jobs.pause(cancelled.id)
        assert "cancelled" == (await jobs.cancel(cancelled.id)).status


async def test_jobs_are_listed_newest_first_by_page_and_by_metadata(sdk: Any) -> None:
    """Jobs are listed newest first, by cursor and by metadata, and invalid paging is a 400."""
    async with service() as served:
        file, jobs = await served.upload(), served.openai.fine_tuning.jobs
        made = [await served.create(file, metadata={"n": str(number % 2), "x": ""}) for number in range(4)]
        made.append(await served.create(file))
        names = [job.id for job in reversed(made)]
        assert names == [job.id async for job in jobs.list()] == [job.id async for job in jobs.list(limit=2)]
        page = await jobs.list(limit=2, after=names[1])
        assert (names[2:4], True) == ([job.id for job in page.data], page.has_more)
        page = await jobs.list(limit=2, after=names[2])
        assert (names[3:], False) == ([job.id for job in page.data], page.has_more)
        assert [names[1], names[3]] == [job.id async for job in jobs.list(metadata={"n": "1"})]
        assert names[1:] == [job.id async for job in jobs.list(metadata={"x": ""})]
        assert [] == [job.id async for job in jobs.list(metadata={"n": "1", "m": "1"})]
        assert names[:1] == [job.id async for job in jobs.list(extra_query={"metadata": "null"})]
        for asked in ({"limit": 0}, {"limit": 101}, {"after": "ftjob-none"}):
            with pytest.raises(sdk.BadRequestError):
                await jobs.list(**asked)
