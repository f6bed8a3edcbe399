"""What docs/machines.md shows of one fit over processes runs, or fits the schema of its engine."""

import json
import re
import shlex
import subprocess
from pathlib import Path

import jsonschema
import pytest
import yaml
from jobs import finish, launch

import jaxmlp
from jaxmlp.distributed.environments import Place, find_place

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "machines.md").read_text().split("## One fit over processes")[1]
SCHEMA = json.loads((ROOT / "tests" / "data" / "jobset.schema.json").read_text())


def block(language, number=0):
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)[number]


def write_script(folder, number=0):
    """Writes a script of the page, and returns its name."""
    caption, _, code = block(r"\{code-block\} python", number).partition("\n\n")
    path = folder / caption.removeprefix(":caption: ")
    path.write_text(code)
    return path.name


@pytest.mark.long
def test_the_script_runs_by_the_local_launcher(tmp_path):
    write_script(tmp_path)
    python, *arguments = shlex.split(block("bash"))
    assert python == "python"
    returned, out = finish(launch(arguments, cwd=tmp_path))
    assert returned == 0, out
    # The first process alone calls back.
    assert re.findall(r"^\[(\d)\] (\d) \d", out, re.MULTILINE) == [("0", str(i)) for i in range(3)]
    config, _ = jaxmlp.load(tmp_path / "runs" / "first" / "network.safetensors")
    assert config.hidden_features == (32,)


@pytest.mark.long
@pytest.mark.parametrize(("processes", "steps"), [(1, 4), (2, 9)])
def test_processes_train_on_rows_of_their_own(tmp_path, processes, steps):
    script = write_script(tmp_path, 1)
    command = ["-m", "jaxmlp.distributed", "-n", processes, script]
    returned, out = finish(launch(command, cwd=tmp_path))
    assert returned == 0, out
    # 250 rows in shares of 64, or 260 of the second process in shares of 32.
    found = re.findall(r"^\[0\] (\d) (\d+) \d", out, re.MULTILINE)
    assert found == [(str(epoch), str(steps)) for epoch in range(3)]


def test_the_slurm_script_is_one_that_bash_reads_and_starts_by_srun():
    script = block("bash", 1)
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    options = re.findall(r"^#SBATCH --([a-z-]+)", script, re.MULTILINE)
    assert {"nodes", "ntasks-per-node", "requeue", "signal"} <= set(options)
    assert re.search(r"^srun .*python train.py$", script, re.MULTILINE)


class TestJobSet:
    def test_it_fits_the_schema(self):
        jsonschema.validate(yaml.safe_load(block("yaml")), SCHEMA)

    @pytest.mark.parametrize(
        "change",
        [("replicas: 1", "replica: 1"), ("Indexed", "indexed"), ('value: "4"', "value: 4")],
    )
    def test_the_schema_sees_mistakes(self, change):
        text = block("yaml").replace(*change)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(yaml.safe_load(text), SCHEMA)

    def test_its_variables_tell_each_pod_its_place(self):
        jobset = yaml.safe_load(block("yaml"))
        (workers,) = jobset["spec"]["replicatedJobs"]
        job = workers["template"]["spec"]
        (container,) = job["template"]["spec"]["containers"]
        variables = {v["name"]: v.get("value", "3") for v in container["env"]}
        # <jobset>-<replicated job>-<job index>-<pod index>.<subdomain, by default the jobset>
        address = f"{jobset['metadata']['name']}-{workers['name']}-0-0.{jobset['metadata']['name']}"
        expected = Place(f"{address}:1234", job["completions"], 3, None, True)
        assert find_place(Place(), variables) == expected
        assert job["completions"] == job["parallelism"]
