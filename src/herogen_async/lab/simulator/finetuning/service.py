"""Files and fine-tuning jobs as the API has them: what each route answers. Told the time, in seconds since 1970."""

from __future__ import annotations

from collections import Counter
from typing import Any

from herogen_async.lab.simulator.completions.request_parsing import Unreadable, bad_request, read_object
from herogen_async.lab.simulator.faults import UNKNOWN_FIELD
from herogen_async.lab.simulator.finetuning.files import FINE_TUNE, RESULTS, Files, StoredFile, check_purpose
from herogen_async.lab.simulator.finetuning.job_request_parsing import JobRequest, read_order
from herogen_async.lab.simulator.finetuning.job_timeline import JobError, JobTimeline, auto_batch_size, auto_epochs
from herogen_async.lab.simulator.finetuning.jobs import Jobs, SimulatedJob, job_record, result_file_id
from herogen_async.lab.simulator.finetuning.own_words import UNKNOWN_WORD, in_own_words
from herogen_async.lab.simulator.finetuning.paging import page, read_query
from herogen_async.lab.simulator.finetuning.training_rows import BadRows, Examples, read_examples
from herogen_async.lab.simulator.finetuning.upload_forms import Form, read_form
from herogen_async.lab.simulator.finetuning.uploads import CANCELLED, COMPLETED, Uploads, joined_parts
from herogen_async.lab.simulator.http_request import HttpRequest
from herogen_async.lab.simulator.policy import Policy
from herogen_async.lab.simulator.seeded_random import draws

ApiResponse = dict[str, Any] | bytes  # bytes: a file's content
_NO_EXAMPLES = Examples(0, 0)
_ID_SIZE = 16


class TuningService:
    """What is kept, and what each request does to it. A request's last argument is the time."""

    def __init__(self, policy: Policy, model: str | None, counted: Counter[str]) -> None:
        self.policy = policy
        self.files = Files(policy.tuning.file_limit)
        self.uploads = Uploads()
        self.jobs = Jobs()
        self.counted = counted
        self._model = model
        self._faults_met: Counter[str] = Counter()
        self._count = 0

    def advance(self, now: float) -> None:
        """All jobs are as they should be at `now`."""
        self.jobs.advance(now)
        for job_id, rows in self.jobs.results.items():
            file_id = result_file_id(job_id)
            self.files.add(StoredFile(file_id, f"step_metrics_{job_id}.csv", RESULTS, rows.encode(), now))
        self.jobs.results.clear()

    def meets(self, *names: str) -> str | None:
        """The first of these faults that is due now; it is counted."""
        for name in names:
            most = self.policy.tuning.faults.get(name, 0)
            if most is None or self._faults_met[name] < most:
                self._faults_met[name] += 1
                self.counted[name] += 1
                return name
        return None

    # -- files

    def create_file(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/files."""
        form = _form(request, "file")
        name, content = form.files["file"]
        self.files.check_size(len(content))
        return self._keep(name, content, check_purpose(form.fields.get("purpose")), now)

    def _keep(self, name: str, content: bytes, purpose: str, now: float) -> dict[str, Any]:
        """A new file. Raises Unreadable."""
        self.files.check_room(len(content))
        file = StoredFile(f"file-{self._id('file')}", name, purpose, content, now)
        self.files.add(file)
        self.counted["files_created"] += 1
        return file.record()

    def list_files(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/files: newest first, unless `order` says otherwise."""
        del now
        query = read_query(request.query)
        order = query.get("order", "desc")
        if order not in ("asc", "desc"):
            message = f"Invalid value for 'order': {order[:20]!r} is not one of 'asc' and 'desc'."
            raise Unreadable(bad_request(message, code="invalid_value", param="order"))
        records = [file.record() for file in self.files.listed(query.get("purpose"))]
        return page(records if order == "asc" else records[::-1], query, usual=10_000, most=10_000)

    def get_file(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/files/ID."""
        del now
        return self.files.get(_name(request, 1)).record()

    def file_content(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/files/ID/content."""
        del now
        return self.files.get(_name(request, 1)).content

    def delete_file(self, request: HttpRequest, now: float) -> ApiResponse:
        """DELETE /v1/files/ID."""
        del now
        file_id = _name(request, 1)
        self.files.delete(file_id)
        self.counted["files_deleted"] += 1
        return {"id": file_id, "object": "file", "deleted": True}

    # -- uploads

    def create_upload(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/uploads."""
        upload = self.uploads.create(read_object(request.body), f"upload_{self._id('upload')}", now)
        self.counted["uploads_created"] += 1
        return upload.record()

    def add_part(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/uploads/ID/parts."""
        upload = self.uploads.pending(_name(request, 1), now)
        _, content = _form(request, "data").files["data"]
        part_id = f"part_{self._id('part')}"
        self.uploads.add_part(upload, part_id, content)
        return {"object": "upload.part", "id": part_id, "created_at": int(now), "upload_id": upload.upload_id}

    def complete_upload(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/uploads/ID/complete."""
        upload = self.uploads.pending(_name(request, 1), now)
        upload.file = self._keep(upload.filename, joined_parts(upload, read_object(request.body)), upload.purpose, now)
        upload.end(COMPLETED)
        return upload.record()

    def cancel_upload(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/uploads/ID/cancel."""
        upload = self.uploads.pending(_name(request, 1), now)
        upload.end(CANCELLED)
        return upload.record()

    # -- jobs

    def create_job(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/fine_tuning/jobs."""
        order = read_order(request.body)
        if order.metadata is not None and self.meets("metadata_refused"):
            raise Unreadable(UNKNOWN_FIELD)
        if not self._can_tune(order.model):
            message = f"Model {order.model[:100]} is not available for fine-tuning or does not exist."
            raise Unreadable(bad_request(message, code="model_not_available", param="model"))
        plan = self._plan(order, f"ftjob-{self._id('job')}")
        self.jobs.add(job := SimulatedJob(order, plan, now))
        self.counted["jobs_created"] += 1
        return job_record(job)

    def list_jobs(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/fine_tuning/jobs: newest first, filtered by `metadata[key]=value`."""
        del now
        query = read_query(request.query)
        records = [job_record(job) for job in self.jobs.newest_first() if _matches(job, query)]
        return page(records, query, usual=20, most=100)

    def get_job(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/fine_tuning/jobs/ID."""
        del now
        return self._told(job_record(self.jobs.get(_name(request, 2))))

    def cancel_job(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/fine_tuning/jobs/ID/cancel."""
        job = self.jobs.cancel(_name(request, 2), now)
        self.counted["job_cancels"] += 1
        return job_record(job)

    def pause_job(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/fine_tuning/jobs/ID/pause."""
        job = self.jobs.pause(_name(request, 2), now)
        self.counted["job_pauses"] += 1
        return job_record(job)

    def resume_job(self, request: HttpRequest, now: float) -> ApiResponse:
        """POST /v1/fine_tuning/jobs/ID/resume."""
        job = self.jobs.resume(_name(request, 2), now)
        self.counted["job_resumes"] += 1
        return job_record(job)

    def job_events(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/fine_tuning/jobs/ID/events: newest first."""
        del now
        job = self.jobs.get(_name(request, 2))
        return page(self._all_told(job.events), read_query(request.query), usual=20, most=100)

    def job_checkpoints(self, request: HttpRequest, now: float) -> ApiResponse:
        """GET /v1/fine_tuning/jobs/ID/checkpoints: newest first."""
        del now
        job = self.jobs.get(_name(request, 2))
        return page(self._all_told(job.checkpoints), read_query(request.query), usual=10, most=100)

    def _told(self, record: dict[str, Any]) -> dict[str, Any]:
        """A job's record, as the faults have it."""
        if record["status"] == "succeeded" and self.meets("no_model_name"):
            record = {**record, "fine_tuned_model": None}
        if self.meets("unknown_word"):
            return {**record, "status": UNKNOWN_WORD}
        return in_own_words(record) if self.meets("own_words") else record

    def _all_told(self, oldest_first: list[dict[str, Any]]) -> list[dict[str, Any]]:
        newest_first = oldest_first[::-1]
        return [in_own_words(each) for each in newest_first] if self.meets("own_words") else newest_first

    def _can_tune(self, model: str) -> bool:
        if model.startswith("ft:"):
            return model in self.jobs.models()
        return self._model in (None, model)

    def _plan(self, order: JobRequest, job_id: str) -> JobTimeline:
        examples, bad_file = self._examples(order)
        if bad_file is None and self.meets("bad_file"):
            bad_file = JobError("invalid_training_file", "The training file can't be used.", "training_file")
        given = order.hyperparameters
        seed = order.seed if order.seed is not None else draws(self.policy.seed, job_id.encode())[0] % 2**31
        tuned_before = self.jobs.models().get(order.model)
        first = order.model if tuned_before is None else tuned_before.plan.first
        tuning = self.policy.tuning
        return JobTimeline(
            job_id=job_id,
            first=first,
            model=f"ft:{first}:simulated:{order.suffix or ''}:{job_id.removeprefix('ftjob-')[:8]}",
            examples=examples,
            epochs=int(given.get("n_epochs", auto_epochs())),
            batch_size=int(given.get("batch_size", auto_batch_size(examples.rows))),
            seed=seed,
            queue_s=tuning.queue_s,
            train_s=tuning.train_s,
            validated=order.validation_file is not None,
            bad_file=bad_file,
            fails=bad_file is None and self.meets("training_fails") is not None,
        )

    def _examples(self, order: JobRequest) -> tuple[Examples, JobError | None]:
        """The training examples, and what the validation of the files will find. Raises Unreadable."""
        ranked, accepts = order.method == "dpo", self.policy.tuning.accepts
        contents = {"training_file": self._content(order.training_file, "training_file")}
        if order.validation_file is not None:
            contents["validation_file"] = self._content(order.validation_file, "validation_file")
        found: list[Examples] = []
        for param, content in contents.items():
            try:
                least = {} if param == "training_file" else {"least": 1}
                found.append(read_examples(content, accepts=accepts, ranked=ranked, **least))
            except BadRows as bad:
                return _NO_EXAMPLES, JobError(bad.code, str(bad), param)
        return found[0], None

    def _content(self, file_id: str, param: str) -> bytes:
        file = self.files.find(file_id)
        if file is None:
            raise Unreadable(bad_request(f"invalid {param}: {file_id[:100]}", param=param))
        if file.purpose != FINE_TUNE:
            message = f"File {file_id!r} has the purpose {file.purpose!r}; a {param} needs {FINE_TUNE!r}."
            raise Unreadable(bad_request(message, code="invalid_file_purpose", param=param))
        return file.content

    def _id(self, kind: str) -> str:
        self._count += 1
        return f"{draws(self.policy.seed, f'{kind} {self._count}'.encode())[0]:0{_ID_SIZE}x}"


def _form(request: HttpRequest, name: str) -> Form:
    """The form in a request, which has a file by that name. Raises Unreadable."""
    form = read_form(request.header("content-type"), request.body)
    if name not in form.files:
        raise Unreadable(bad_request(f"{name!r} is a required property", param=name))
    return form


def _name(request: HttpRequest, place: int) -> str:
    """The name in the path: `/v1/files/NAME` has it at 1."""
    return request.path.removeprefix("/v1/").split("/")[place]


def _matches(job: SimulatedJob, query: dict[str, str]) -> bool:
    """Whether the job is one of those that the metadata of a list's query names."""
    given = job.order.metadata
    if query.get("metadata") == "null":
        return given is None
    wanted = {
        name.removeprefix("metadata[").removesuffix("]"): value
        for name, value in query.items()
        if name.startswith("metadata[")
    }
    return all((given or {}).get(key) == value for key, value in wanted.items())
