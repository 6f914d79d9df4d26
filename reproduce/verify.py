"""What a study should come out as, and whether the working tree agrees: bytes, then statistics."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from reproduce.staleness import listed
from reproduce.utils.environment import environment, in_words
from reproduce.utils.files import (
    SUMS,
    UnusableFile,
    checked,
    digest,
    fingerprint,
    read_csv,
    read_json,
)
from reproduce.utils.formatting import interval

Row = Mapping[str, str]
Status = Literal["identical", "agrees", "outside", "missing", "unexpected"]

AGREEING: Collection[Status] = ("identical", "agrees")

KEY = ("claim", "of", "minus", "measure")
"""What names a row of the table of claims."""

NUMBERS = ("effect", "effect_low", "effect_high", "verdict")
ALIKE = ("verdict", "judge", "seeds")
"""What must be the same for two effects to be of one claim."""

PARTS = {"claims": list, "files": dict, "artifacts": dict, "environments": list}


@dataclass(frozen=True)
class Verdict:
    """One claim, as the working tree has it.

    `status`: identical (every digit), agrees (the same verdict by the same judges and number of
    seeds, and an effect inside the expected interval), outside, missing or unexpected.
    """

    name: str
    expected: str
    found: str
    status: Status


@dataclass(frozen=True)
class Comparison:
    """What `verify` found.

    Attributes:
        claims: one verdict a row of either table of claims.
        outputs: the number of tables, figures and artifacts that are expected.
        changed: names of outputs with other bytes.
        absent: names of outputs that are not there.
        extra: names of outputs that are not expected.
        lost: the arms that the table of claims compares and that are not here.
        run: whether anything was made here at all, beyond what the repository holds.
        environments: where the expected bytes came out.
        elsewhere: what came out on machines with other bytes, as `beside` keeps it.
    """

    claims: list[Verdict]
    outputs: int
    changed: list[str]
    absent: list[str]
    extra: list[str]
    lost: list[str]
    run: bool
    environments: list[dict[str, str]]
    elsewhere: list[dict[str, Any]]

    @property
    def holds(self) -> bool:
        """Return whether a run here came out as expected, in bytes or statistically."""
        agreed = all(each.status in AGREEING for each in self.claims)
        return self.run and not self.lost and agreed

    @property
    def same_bytes(self) -> bool:
        """Return whether exactly the expected outputs are there, byte for byte."""
        return not (self.changed or self.absent or self.extra)


def expectations(paper: Path, artifacts: Path, arms: Iterable[str] = ()) -> dict[str, Any]:
    """Return what `paper` and `artifacts` hold now, with the machine that made it.

    Raises UnusableFile naming what is missing (of `arms`, too), or was changed since it was made.
    """
    found = _fingerprints(artifacts)
    for name in set(arms) - set(found):
        checked(artifacts / name)
    if not found:
        raise UnusableFile(f"{artifacts}: nothing there; run `dvc repro`")
    return {
        "claims": read_csv(paper / "tables" / "claims.csv"),
        "files": _digests(paper),
        "artifacts": found,
        "environments": [environment()],
    }


def merged(found: dict[str, Any], known: Path) -> dict[str, Any]:
    """Return `found` with what the file `known` says of other machines, as far as it holds.

    What came out elsewhere holds as long as the runs and the numbers of the claims that it was
    compared with are here still, beside others or not; where the same bytes came out, for the same
    tables, too.
    """
    if not known.is_file():
        return found
    old = read_expectations(known)
    if not old["artifacts"].items() <= found["artifacts"].items():
        return found
    statuses = {each.status for each in compared(old["claims"], found["claims"])}
    same = statuses <= {"identical", "unexpected"}
    kept = {"elsewhere": old["elsewhere"]} if same and "elsewhere" in old else {}
    if any(old[part] != found[part] for part in ("artifacts", "claims", "files")):
        return {**found, **kept}
    others = [each for each in old["environments"] if each not in found["environments"]]
    return {**found, "environments": [*others, *found["environments"]], **kept}


def beside(expected: Mapping[str, Any], paper: Path, artifacts: Path) -> dict[str, Any]:
    """Return `expected` with what came out on this machine beside it, whether it agrees or not.

    Raises UnusableFile where nothing was run here, or where the expected bytes came out.
    """
    found = verify(expected, paper, artifacts)
    if not found.run or found.lost:
        raise UnusableFile("not every run that the claims compare is here; run `dvc repro`")
    if found.same_bytes:
        raise UnusableFile("the expected bytes came out here: `reproduce expect` adds this machine")
    columns = (*KEY, *NUMBERS, *ALIKE, "comparison", "role")
    claims = read_csv(paper / "tables" / "claims.csv")
    here = {
        "environment": environment(),
        "compared": len(found.claims),
        "agree": sum(each.status in AGREEING for each in found.claims),
        "claims": [{name: row[name] for name in columns} for row in claims],
    }
    others = [each for each in found.elsewhere if each["environment"] != here["environment"]]
    return {**expected, "elsewhere": [*others, here]}


def read_expectations(path: Path) -> dict[str, Any]:
    """Return the expectations of a file; raise UnusableFile if it has another form."""
    if not path.is_file():
        raise UnusableFile(f"{path}: missing; `reproduce expect` writes it from finished results")
    found = read_json(path)
    formed = isinstance(found, dict) and all(
        isinstance(found.get(part), kind) and found[part] for part, kind in PARTS.items()
    )
    wanted = {*KEY, *NUMBERS, *ALIKE, "comparison"}
    if not formed or any(wanted - set(row) for row in found["claims"]):
        raise UnusableFile(f"{path}: not a file of expectations; take it from the repository")
    return dict(found)


def verify(expected: Mapping[str, Any], paper: Path, artifacts: Path) -> Comparison:
    """Return how the working tree compares with `expected`; nothing is changed.

    Raises UnusableFile naming a file that is missing, or was changed since its stage made it.
    """
    made = _fingerprints(artifacts)
    found = {**_digests(paper), **made}
    wanted = {**expected["files"], **expected["artifacts"]}
    claims = read_csv(paper / "tables" / "claims.csv")
    return Comparison(
        claims=compared(expected["claims"], claims),
        outputs=len(wanted),
        changed=[name for name in wanted if name in found and found[name] != wanted[name]],
        absent=[name for name in wanted if name not in found],
        extra=[name for name in found if name not in wanted],
        lost=sorted({row.get(arm, "") for row in claims for arm in ("of", "minus")} - set(made)),
        run=bool(made),
        environments=expected["environments"],
        elsewhere=expected.get("elsewhere", []),
    )


def compared(expected: Sequence[Row], found: Sequence[Row]) -> list[Verdict]:
    """Return for every row of two tables of claims whether they agree on it."""
    there = {_key(row): row for row in found}
    known = {_key(row) for row in expected}
    verdicts = [_compared(row, there.get(_key(row))) for row in expected]
    others = [row for row in found if _key(row) not in known]
    return [*verdicts, *(Verdict(_name(row), "–", _said(row), "unexpected") for row in others)]


def as_text(found: Comparison) -> str:
    """Return a comparison as text: claim by claim, then what is not the same bytes."""
    width = max((len(each.name) for each in found.claims), default=0)
    lines = [f"{each.name:{width}}  {each.status:10}  {each.found}" for each in found.claims]
    lines += [
        f"{'':{width}}  expected    {each.expected}"
        for each in found.claims if each.status in ("outside", "missing")
    ]  # fmt: skip
    same = found.outputs - len(found.changed) - len(found.absent)
    lines.append(f"\n{same} of {found.outputs} outputs have the expected bytes")
    others = {"differ": found.changed, "are not here": found.absent,
              "are not expected": found.extra}  # fmt: skip
    lines += [f"{len(names)} {what}: {listed(names)}" for what, names in others.items() if names]
    if not found.run:
        lines.append("Nothing was run here: these are the tables of the repository; `dvc repro`")
    elif found.lost:
        lines.append(
            "The table of claims stands without runs that it compares, so it proves nothing here: "
            f"{listed(found.lost)}; `dvc repro` makes them"
        )
    lines += ["The expected bytes came out on:", *map(in_words, found.environments)]
    for each in found.elsewhere:
        said = f"{each['agree']} of {each['compared']} comparisons agreed, on:"
        lines += [f"Other bytes came out, and {said}", in_words(each["environment"])]
    lines += ["This is:", in_words(environment())]
    return "\n".join(lines)


def _key(row: Row) -> tuple[str | None, ...]:
    return tuple(row.get(key) for key in KEY)


def _name(row: Row) -> str:
    return f"{row['comparison']}, {row['measure']}"


def _compared(expected: Row, found: Row | None) -> Verdict:
    if found is None:
        return Verdict(_name(expected), _said(expected), "–", "missing")
    said = (_name(expected), _said(expected), _said(found))
    if all(expected[key] == found.get(key) for key in (*NUMBERS, *ALIKE)):
        return Verdict(*said, "identical")
    same = all(expected[key] == found.get(key) for key in ALIKE) and _inside(expected, found)
    return Verdict(*said, "agrees" if same else "outside")


def _inside(expected: Row, found: Row) -> bool:
    try:
        low, high = float(expected["effect_low"]), float(expected["effect_high"])
        return low <= float(found["effect"]) <= high
    except ValueError:
        return False


def _said(row: Row) -> str:
    return f"{interval(row, 'effect')} {row['verdict']}"


def _digests(paper: Path) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in ("tables", "figures"):
        files = [f for f in sorted((paper / name).glob("*")) if f.is_file() and f.name[0] != "."]
        if not files:
            raise UnusableFile(f"{paper / name}: nothing there; run `dvc repro`")
        found |= {f"{name}/{file.name}": digest(file) for file in files}
    record = paper / "runs.jsonl"
    return {**found, **({record.name: digest(record)} if record.is_file() else {})}


def _fingerprints(artifacts: Path) -> dict[str, str]:
    """Return artifact -> fingerprint of every sealed folder that lies in no other."""
    found: dict[str, str] = {}
    for sums in sorted(artifacts.glob("**/" + SUMS)):
        folder = sums.parent
        name = folder.relative_to(artifacts)
        # An imported model is sealed inside a stage's own folder; a dot marks unfinished work.
        inner = any((parent / SUMS).is_file() for parent in folder.parents)
        if not inner and not any(part[0] == "." for part in name.parts):
            found[name.as_posix()] = fingerprint(checked(folder))
    return found
