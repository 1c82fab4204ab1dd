//! What a fleet of replicas promises while things go wrong: the fault matrix of `tests/README.md`, a test
//! for each fault.
//!
//! Every test of a fault asks two things: whether anybody was told yes after a suspension was enforced, and
//! what the answers say meanwhile.

mod clocks;
mod disks;
mod fleet;
mod forks;
mod holders;
mod limits;
mod link;
mod measured;
mod network;
mod processes;
mod virtual_fleet;

pub(crate) use disks::Disk;
pub(crate) use measured::counted;
