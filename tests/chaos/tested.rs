//! The parts of the chaos run that have tests of their own.

mod checker;
mod checker_tests;
mod dice;
mod history;
mod log;
mod order;
mod proxy;
mod proxy_tests;
mod replay;
mod world;
