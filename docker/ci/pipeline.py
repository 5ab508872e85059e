"""The pipeline: `pipeline.py pr` for a pull request, `main` after a merge, `matrix` for one Python and one PostgreSQL.

    pipeline.py --list                       the steps, and which pipeline has them
    pipeline.py --step check --step build    single steps
    pipeline.py main --image yes             fail if no image can be built

If there is a Dagger engine (under `dagger run`, or with its CLI and a Docker daemon), the steps run in it, otherwise on
this machine. The exit status is 1 if a step fails, which ends the pipeline, and 2 if the arguments are wrong.
"""

import argparse
import sys
from collections.abc import Sequence

import engine
import image
import native
from steps import PIPELINES, STEPS, UnknownStep, choose


def main(arguments: Sequence[str]) -> int:
    options = parser().parse_args(arguments)
    if options.list:
        print(listing())
        return 0
    names = options.step or PIPELINES.get(options.pipeline, ())
    if not names:
        parser().error("say which pipeline (pr, main, matrix), or which step (--step NAME)")
    try:
        chosen = choose(names)
        in_engine = engine.is_wanted(options.runner)
        print(f"{len(chosen)} of {len(STEPS)} steps, {'in a Dagger engine' if in_engine else 'on this machine'}", flush=True)
        if in_engine:
            engine.run(chosen)
        else:
            native.run(chosen, options.image)
    except UnknownStep as error:
        parser().error(str(error))
    except (native.StepFailed, engine.EngineFailed, image.ImageFailed) as error:
        print(f"=== {error}", file=sys.stderr, flush=True)
        return 1
    print(f"=== all steps done: {', '.join(names)}", flush=True)
    return 0


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(description="Run post3's pipeline.")
    made.add_argument("pipeline", nargs="?", choices=sorted(PIPELINES), help="which steps, by occasion")
    made.add_argument("--step", action="append", metavar="NAME", help="this step instead; may be repeated")
    made.add_argument("--list", action="store_true", help="print the steps and end")
    made.add_argument("--runner", choices=["auto", "native", "dagger"], default="auto", help="where (auto: what is there)")
    made.add_argument(
        "--image",
        choices=["auto", "yes", "no"],
        default="auto",
        help="on this machine, build the image (auto: where a builder is; yes: or fail; no: only its context)",
    )
    return made


def listing() -> str:
    """Return a line for each step: its name, the pipelines that include it, and its meaning."""
    return "\n".join(
        f"{step.name:<13} {','.join(name for name, names in PIPELINES.items() if step.name in names):<8} {step.meaning}"
        for step in STEPS
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
