//! `tr-net demo`, as a newcomer runs it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use crate::site::{PROGRAM, eventually};
use crate::world::Process;

fn demo(folder: &tempfile::TempDir) -> Command {
    let mut command = Command::new(PROGRAM);
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TR_NET_")) {
        command.env_remove(name);
    }
    command
        .arg("demo")
        .arg("--data")
        .arg(folder.path().join("demo"))
        .env("TERM", "xterm-256color")
        .stdin(Stdio::null());
    command
}

/// The process that a line says has started.
fn started(line: &str) -> Option<u32> {
    line.split_once("process ")?.1.split_once(" listens on")?.0.parse().ok()
}

/// Whether a process works; one that has ended and waits for its parent to notice does not.
fn works(process: u32) -> bool {
    let state = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let state = state.rsplit_once(") ").map(|(_, rest)| rest.starts_with('Z'));
    state == Some(false)
}

#[test]
fn demo_shows_all_its_steps_and_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let output = demo(&folder).output().unwrap();
    let out = String::from_utf8(output.stdout).unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{out}{err}");
    assert!(err.is_empty(), "{err}");
    for step in 1..=15 {
        assert_eq!(
            out.matches(&format!("\n[{step:>2}/15] ")).count(),
            1,
            "step {step} of\n{out}"
        );
    }
    assert!(!out.contains("\n[16/"), "{out}");
    assert!(!out.contains('\x1b'), "it is no terminal:\n{out}");
    for said in [
        "OK  APPROVED 12.50 USD",
        "same command, same answer, byte for byte",
        "APPROVED IN PART 25.00 USD",
        "DECLINED. Do not hand over the goods. More than the card may spend today.",
        "REVERSED 12.50 USD",
        "It was cancelled before it arrived.",
        "CARD NOT READ. Swipe again.",
        "the replayed frame: its key was erased",
        "the forged frame: one changed character",
        "it sums to zero",
        "tr-net verify-receipt ",
        "Everything came out as it must",
    ] {
        assert!(out.contains(said), "no `{said}` in\n{out}");
    }
    let processes: Vec<u32> = out.lines().filter_map(started).collect();
    assert_eq!(processes.len(), 2, "{out}");
    for process in processes {
        assert!(!works(process), "process {process} still runs");
    }
}

#[test]
fn demo_that_is_killed_leaves_nothing_running() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Process::spawn(demo(&folder).stdout(Stdio::piped()).stderr(Stdio::null()));
    let lines = BufReader::new(process.0.stdout.take().unwrap()).lines();
    let processes: Vec<u32> = lines
        .map_while(Result::ok)
        .filter_map(|line| started(&line))
        .take(2)
        .collect();
    assert_eq!(processes.len(), 2);
    process.kill();
    eventually("backend and gateway end", || {
        !processes.iter().any(|process| works(*process))
    });
}

#[test]
fn demo_refuses_a_directory_in_use() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("demo")).unwrap();
    fs::write(folder.path().join("demo/mine"), "x").unwrap();
    let output = demo(&folder).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(
        err.starts_with("tr-net: ") && err.contains("not empty") && err.lines().count() == 1,
        "{err}"
    );
    assert_eq!(fs::read(folder.path().join("demo/mine")).unwrap(), b"x");
}
