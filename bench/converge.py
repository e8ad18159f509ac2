#!/usr/bin/env python3
"""A machine on which everything is in place already: what does it cost to find that out?

usage: bench/converge.py [ROUNDS]

Ours is `skep converge`; the peers are ansible-core (`ansible-playbook`, local connection, facts
not gathered) and pyinfra (`@local`), both from PyPI, each with its own spelling of the same
resources: of ten, four directories, four templates of three lines and two users that exist
(templates where the machine has too few users). Each tool applies them once; what is measured is
the run after that, which changes nothing, turn by turn. The processor's time is that of the command
and of all it started. A thousand resources are measured with ours alone: the peers would take
minutes.

Needs root, as the tools do for users; writes below its own directory only.
"""

import json
import os
import pathlib
import pwd
import resource
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import measuring
from measuring import Figures

# Those of this machine whose home is theirs. Both peers make a home that is missing, and pyinfra
# gives one to the user that names it, be it `/`: they are told not to, and are not tried with others.
def owns_home(user) -> bool:
    home = pathlib.Path(user.pw_dir)
    return home.is_dir() and home.stat().st_uid == user.pw_uid and home != pathlib.Path("/")


USERS = [user.pw_name for user in pwd.getpwall() if owns_home(user)]
CYCLE = ["directory", "template", "directory", "template", "user"]
PEER_ROUNDS = 3
TEMPLATE = "# {name}\nnumber = {number}\nowner = {owner}\n"


def resources(count: int, top: pathlib.Path):
    """Yields the kind, the name and the number of each resource."""
    users = 0
    for number in range(count):
        kind = CYCLE[number % len(CYCLE)]
        if kind == "user" and users < len(USERS):
            yield kind, USERS[users], number
            users += 1
        else:
            kind = "template" if kind == "user" else kind
            yield kind, str(top / f"{kind}-{number}"), number


class Ours:
    name = "skep"

    def __init__(self, directory: pathlib.Path, program: pathlib.Path, count: int):
        self.program, self.root = program, directory / "repository"
        self.home = directory / "home"
        recipes = self.root / "cookbooks/bench/recipes"
        templates = self.root / "cookbooks/bench/templates"
        for made in (recipes, templates):
            made.mkdir(parents=True)
        (self.root / "nodes.toml").write_text('[bench]\nrun_list = ["recipe[bench]"]\n')
        cookbook = 'name = "bench"\nversion = "1.0.0"\n'
        (self.root / "cookbooks/bench/cookbook.toml").write_text(cookbook)
        text = TEMPLATE.format(name="{{ name }}", number="{{ number }}", owner="{{ owner }}")
        (templates / "conf.j2").write_text(text)
        top, lines = directory / "ours", []
        lines.append(f'directory("{top}")')
        for kind, name, number in resources(count, top):
            if kind == "directory":
                lines.append(f'directory("{name}", mode = "0755")')
            elif kind == "template":
                values = f'{{"name": "{name}", "number": {number}, "owner": "bench"}}'
                lines.append(f'template("{name}", source = "conf.j2", mode = "0644", vars = {values})')
            else:
                lines.append(f'user("{name}")')
        (recipes / "default.star").write_text("\n".join(lines) + "\n")

    def command(self):
        return [self.program, "converge", "--group", "bench", "--quiet"]

    def environment(self):
        return {"PATH": os.environ["PATH"], "SKEP_HOME": str(self.home)}

    def directory(self):
        return self.root


class Ansible:
    name = "ansible-core"

    def __init__(self, directory: pathlib.Path, venv: pathlib.Path, count: int):
        self.root, self.venv = directory / "ansible", venv
        self.root.mkdir()
        text = TEMPLATE.format(name="{{ item_name }}", number="{{ item_number }}", owner="bench")
        (self.root / "conf.j2").write_text(text)
        top, tasks = directory / "theirs-ansible", []
        tasks.append({"file": {"path": str(top), "state": "directory"}})
        for kind, name, number in resources(count, top):
            if kind == "directory":
                tasks.append({"file": {"path": name, "state": "directory", "mode": "0755"}})
            elif kind == "template":
                task = {"template": {"src": "conf.j2", "dest": name, "mode": "0644"}}
                task["vars"] = {"item_name": name, "item_number": number}
                tasks.append(task)
            else:
                tasks.append({"user": {"name": name, "create_home": False}})
        play = {"hosts": "localhost", "gather_facts": False, "connection": "local", "tasks": tasks}
        (self.root / "play.yml").write_text(json.dumps([play]))

    def command(self):
        return [self.venv / "bin/ansible-playbook", "-i", "localhost,", "play.yml"]

    def environment(self):
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        python = str(self.venv / "bin/python")
        return {
            "PATH": f"{self.venv / 'bin'}:{os.environ['PATH']}", "HOME": str(home),
            "LANG": "C.UTF-8", "ANSIBLE_PYTHON_INTERPRETER": python,
            "ANSIBLE_HOME": str(home), "ANSIBLE_REMOTE_TEMP": str(home / "tmp"),
        }

    def directory(self):
        return self.root


class Pyinfra:
    name = "pyinfra"

    def __init__(self, directory: pathlib.Path, venv: pathlib.Path, count: int):
        self.root, self.venv = directory / "pyinfra", venv
        self.root.mkdir()
        # `name` is pyinfra's own word.
        text = TEMPLATE.format(name="{{ label }}", number="{{ number }}", owner="bench")
        (self.root / "conf.j2").write_text(text)
        top = directory / "theirs-pyinfra"
        lines = ["from pyinfra.operations import files, server"]
        lines.append(f'files.directory(path="{top}")')
        for kind, name, number in resources(count, top):
            if kind == "directory":
                lines.append(f'files.directory(path="{name}", mode="755")')
            elif kind == "template":
                values = f'label="{name}", number={number}'
                lines.append(
                    f'files.template(src="conf.j2", dest="{name}", mode="644", {values})'
                )
            else:
                lines.append(f'server.user(user="{name}", ensure_home=False)')
        (self.root / "deploy.py").write_text("\n".join(lines) + "\n")

    def command(self):
        return [self.venv / "bin/pyinfra", "@local", "-y", "deploy.py"]

    def environment(self):
        home = self.root / "home"
        home.mkdir(exist_ok=True)
        return {"PATH": os.environ["PATH"], "HOME": str(home), "LANG": "C.UTF-8"}

    def directory(self):
        return self.root


def run(tool) -> tuple[float, float]:
    """Runs a tool once; returns the seconds it took and those of the processor."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    done = subprocess.run(
        tool.command(), cwd=tool.directory(), env=tool.environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )
    elapsed = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        sys.exit(f"{tool.name} ended with {done.returncode}:\n{done.stdout[-2000:]}")
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 11
    measuring.header(f"resources that are in place, {rounds} rounds in turn")
    directory = measuring.scratch()
    venv = directory / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*install, "ansible-core", "pyinfra"], check=True)
    listed = subprocess.run([venv / "bin/pip", "list"], capture_output=True, text=True).stdout
    wanted = ("ansible-core", "pyinfra")
    print("peers:", ", ".join(" ".join(l.split()) for l in listed.splitlines() if l.split()[0] in wanted))
    seconds, processor = Figures(), Figures()
    program = measuring.skep_program()
    for count in (20, 100, 1000):
        place = directory / str(count)
        place.mkdir()
        tools = [Ours(place, program, count)]
        if count < 1000:
            tools += [Ansible(place, venv, count), Pyinfra(place, venv, count)]
        for tool in tools:
            run(tool)
        for turn in range(rounds):
            for tool in tools:
                if tool is tools[0] or turn < PEER_ROUNDS:
                    elapsed, spent = run(tool)
                    seconds.add(f"{count} in place", tool.name, elapsed)
                    processor.add(f"{count} in place", tool.name, spent)
    print("wall clock:")
    seconds.print("ms", 1000, 1)
    print("processor time:")
    processor.print("ms", 1000, 1)
    for count in (20, 100):
        what = f"{count} in place"
        mine = processor.median(what, "skep")
        for peer, goal in (("ansible-core", 500), ("pyinfra", 150)):
            ratio = processor.median(what, peer) / mine
            print(f"{what}: {peer} takes {ratio:.0f} times the processor time, goal {goal}")
    for count, goal in ((100, 50), (1000, 250)):
        wall = seconds.median(f"{count} in place", "skep") * 1000
        print(f"{count} in place: {wall:.1f} ms wall clock, goal {goal} ms")
    measuring.footer()


if __name__ == "__main__":
    main()
