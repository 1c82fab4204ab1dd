//! A replica whose journal's disk is full.

use super::fleet::{Fleet, until};
use offergate::wire::proto::Outcome;
use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

/// A disk of its own, in memory, over a folder. Gone with the value.
pub(crate) struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    /// `None` for somebody who may not make one.
    pub(crate) fn over(folder: &'a Path) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"]).arg(folder);
        let mounted = mount.output().is_ok_and(|output| output.status.success());
        mounted.then_some(Self(folder))
    }

    /// Leaves no byte free.
    pub(crate) fn fill(&self) {
        let mut ballast = File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[0; 512]).is_ok() {}
    }

    pub(crate) fn empty(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        // Lazily: a process that was just killed may have a file open yet.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f23_while_a_journals_disk_is_full_its_replica_makes_no_change_and_answers_every_check() {
    let mut fleet = Fleet::of(1).await;
    let folder = fleet.folder.path().join("r2");
    let Some(disk) = Disk::over(&folder) else {
        eprintln!("SKIPPED: only root can make a disk of one megabyte");
        return;
    };
    fleet.add("r2", &[]).await;
    let (one, two) = (fleet.replica(1), fleet.replica(2));
    two.comes_to_say(Outcome::Eligible).await;
    disk.fill();
    let asking = fleet.ask_on_and_on();
    // A suspension waits for no disk.
    one.suspend("s").await.unwrap();
    let (_, at) = one.enforced("s").await;
    two.comes_to_say(Outcome::Ineligible).await;
    // What there was room for may have been written yet; soon nothing is.
    let mut made = 0;
    let refused = until("a change is refused for want of room", async || {
        made += 1;
        two.suspend(&format!("full-{made}")).await.err()
    })
    .await;
    assert_eq!(refused.reason.as_deref(), Some("NOT_WRITTEN"), "{refused}");
    assert_eq!(two.outcome().await, Outcome::Ineligible);
    one.suspend("t").await.unwrap();
    one.enforced("t").await;
    asking.end().await.never_eligible_after(at);
    disk.empty();
    until("changes are made again", async || two.lift("s").await.ok()).await;
    fleet.replica_mut(2).kill();
    fleet.replica_mut(2).start();
    fleet.replica(2).comes_to_say(Outcome::Ineligible).await;
}
