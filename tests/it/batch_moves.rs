//! What `offergate batch decide` does when the rules move while it runs, and when it is killed.
//!
//! The input is a named pipe, so that a test holds the job in the middle of its file for as long as it wants.

use crate::batch::{USUAL, left_in};
use crate::server::{Server, in_repository, within_limit};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

const HEADER: &str = "id,country,holding.status\n";

/// A job that reads from a pipe.
struct Job {
    child: Child,
    stderr: BufReader<ChildStderr>,
}

impl Job {
    fn start(server: &Server, output: &str, more: &[&str]) -> Self {
        let pipe = server.folder().join("in.csv");
        if !pipe.exists() {
            assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        }
        let mut child = Command::new(env!("CARGO_BIN_EXE_offergate"))
            .env_clear()
            .env("OFFERGATE_SERVER", &server.address)
            .args(["batch", "decide", "--input", "in.csv", "--output", output])
            .args(["--rejects", "rejects.csv"])
            .args(USUAL)
            .args(more)
            .current_dir(server.folder())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self { child, stderr }
    }

    /// Reads lines until one has these words.
    fn says(&mut self, words: &str) {
        let mut said = String::new();
        while !said.contains(words) {
            assert_ne!(self.stderr.read_line(&mut said).unwrap(), 0, "{words}: {said}");
        }
    }

    /// The exit code, the rest of what it says, and what it printed.
    fn ended(mut self) -> (Option<i32>, String, String) {
        within_limit(move || {
            let (mut said, mut printed) = (String::new(), String::new());
            self.stderr.read_to_string(&mut said).unwrap();
            self.child.stdout.take().unwrap().read_to_string(&mut printed).unwrap();
            (self.child.wait().unwrap().code(), said, printed)
        })
    }
}

/// The next reader of the pipe gets what is written here.
fn pipe(server: &Server) -> File {
    let path = server.folder().join("in.csv");
    within_limit(move || File::options().write(true).open(path).unwrap())
}

/// Enough rows for some chunks, so that a job is in the middle of them.
fn rows(count: usize) -> String {
    (0..count).map(|number| format!("c-{number},IE,NONE\n")).collect()
}

/// Makes another revision.
fn move_rules(server: &Server) {
    let rules = fs::read_to_string(in_repository("deploy/demo/barclays.rules.yaml")).unwrap();
    let moved = server.folder().join("rules-moved.yaml");
    fs::write(&moved, rules.replace("min_age: 16", "min_age: 18")).unwrap();
    server.apply(&moved);
}

fn revisions(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let revision = |line: &str| line.rsplit(',').nth(1).unwrap().to_owned();
    let mut revisions: Vec<_> = text.lines().skip(1).map(revision).collect();
    revisions.dedup();
    revisions
}

#[test]
fn a_job_begins_again_with_the_new_rules_and_no_row_is_by_the_old_ones() {
    let server = Server::with_barclays();
    let mut job = Job::start(&server, "out.csv", &[]);
    let mut input = pipe(&server);
    input.write_all((HEADER.to_owned() + &rows(9_000)).as_bytes()).unwrap();
    job.says("decides by revision 2 ");
    move_rules(&server);
    drop(input);
    job.says("begins again");
    let mut input = pipe(&server);
    input.write_all((HEADER.to_owned() + &rows(9_000)).as_bytes()).unwrap();
    drop(input);
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(revisions(&server.folder().join("out.csv")), ["4"]);
    assert_eq!(left_in(server.folder()), ["out.csv", "rejects.csv"]);
}

#[test]
fn what_is_only_proposed_while_a_job_runs_moves_nothing() {
    let server = Server::with_barclays();
    let mut job = Job::start(&server, "out.csv", &["--on-change=abort"]);
    let mut input = pipe(&server);
    input.write_all((HEADER.to_owned() + &rows(9_000)).as_bytes()).unwrap();
    job.says("decides by revision 2 ");
    let proposed = server.json(&[
        "suspend",
        "offer",
        "avast-12m",
        "--yes",
        "--reason=only proposed",
        "--ticket=CHG-1",
    ]);
    assert_eq!(proposed["proposal"]["id"], 3);
    drop(input);
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(revisions(&server.folder().join("out.csv")), ["2"]);
}

#[test]
fn a_job_that_began_again_often_enough_ends_as_a_conflict() {
    let server = Server::with_barclays();
    let mut job = Job::start(&server, "out.csv", &[]);
    for round in 1..=4 {
        let mut input = pipe(&server);
        input.write_all(HEADER.as_bytes()).unwrap();
        job.says(&format!("decides by revision {} ", 2 * round));
        let rules = fs::read_to_string(in_repository("deploy/demo/barclays.rules.yaml")).unwrap();
        let moved = server.folder().join("rules-moved.yaml");
        fs::write(&moved, rules.replace("min_age: 16", &format!("min_age: {}", 16 + round)))
            .unwrap();
        server.apply(&moved);
        drop(input);
        if round < 4 {
            // Only then the pipe has no reader any more.
            job.says("begins again");
        }
    }
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("from revision 8 to 10"), "{said}");
    assert_eq!(left_in(server.folder()), [""; 0]);
}

#[test]
fn abort_ends_as_a_conflict_and_leaves_nothing() {
    for more in [&["--on-change=abort"][..], &["--revision=2"]] {
        let server = Server::with_barclays();
        let mut job = Job::start(&server, "out.csv", more);
        let mut input = pipe(&server);
        input.write_all((HEADER.to_owned() + &rows(9_000)).as_bytes()).unwrap();
        job.says("decides by revision 2 ");
        move_rules(&server);
        drop(input);
        let (code, said, _) = job.ended();
        assert_eq!(code, Some(4), "{said}");
        assert!(said.contains("from revision 2 to 4"), "{said}");
        assert_eq!(left_in(server.folder()), [""; 0]);
    }
}

#[test]
fn finish_goes_on_by_the_rules_it_began_with_and_says_so() {
    let server = Server::with_barclays();
    let more = ["--on-change=finish", "--summary=sum.json"];
    let mut job = Job::start(&server, "out.csv", &more);
    let mut input = pipe(&server);
    input.write_all((HEADER.to_owned() + &rows(9_000)).as_bytes()).unwrap();
    job.says("decides by revision 2 ");
    move_rules(&server);
    job.says("the rules moved to revision 4: goes on by revision 2");
    drop(input);
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("moved to revision 4 meanwhile"), "{said}");
    assert_eq!(revisions(&server.folder().join("out.csv")), ["2"]);
    let summary = fs::read_to_string(server.folder().join("sum.json")).unwrap();
    assert!(summary.contains("\"rules_moved_to\": 4"), "{summary}");
}

#[test]
fn what_went_to_standard_output_is_not_decided_a_second_time() {
    let server = Server::with_barclays();
    let more = ["--output-format=csv", "--on-change=restart"];
    let mut job = Job::start(&server, "-", &more);
    let mut input = pipe(&server);
    input.write_all(HEADER.as_bytes()).unwrap();
    job.says("decides by revision 2 ");
    move_rules(&server);
    drop(input);
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("cannot be taken back"), "{said}");
}

/// A job that has read half of its input and waits for the rest.
fn in_the_middle(server: &Server) -> (Job, File) {
    fs::write(server.folder().join("out.csv"), "yesterday's").unwrap();
    let job = Job::start(server, "out.csv", &[]);
    let mut input = pipe(server);
    // Whoever has read so much has decided some of it.
    input.write_all((HEADER.to_owned() + &rows(200_000)).as_bytes()).unwrap();
    (job, input)
}

#[test]
fn a_job_that_is_killed_in_the_middle_leaves_nothing_but_what_stood_there() {
    let server = Server::with_barclays();
    let (mut job, _input) = in_the_middle(&server);
    job.child.kill().unwrap();
    job.child.wait().unwrap();
    assert_eq!(fs::read_to_string(server.folder().join("out.csv")).unwrap(), "yesterday's");
    assert_eq!(left_in(server.folder()), ["out.csv"]);
}

#[test]
fn a_job_that_is_told_to_stop_ends_as_interrupted_though_its_input_never_ends() {
    for signal in ["-INT", "-TERM"] {
        let server = Server::with_barclays();
        let (mut job, _input) = in_the_middle(&server);
        job.says("decides by revision 2 ");
        let id = job.child.id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
        let (code, said, _) = job.ended();
        assert_eq!(code, Some(130), "{said}");
        assert!(said.contains("interrupted; nothing was written"), "{said}");
        assert_eq!(fs::read_to_string(server.folder().join("out.csv")).unwrap(), "yesterday's");
        assert_eq!(left_in(server.folder()), ["out.csv"]);
    }
}

#[test]
fn a_server_that_is_gone_at_the_end_leaves_the_job_without_output() {
    let mut server = Server::with_barclays();
    let mut job = Job::start(&server, "out.csv", &["--timeout=2"]);
    let mut input = pipe(&server);
    input.write_all((HEADER.to_owned() + &rows(10)).as_bytes()).unwrap();
    job.says("decides by revision 2 ");
    server.kill();
    drop(input);
    let (code, said, _) = job.ended();
    assert_eq!(code, Some(5), "{said}");
    assert_eq!(left_in(server.folder()), [""; 0]);
}
