//! How far a job is: a bar on a terminal, a line from time to time elsewhere.

use super::super::output::Output;
use crate::clock::{Clock as _, SystemClock};
use crate::jobs::Counters;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal as _;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often the counters are looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);

/// How often a line is written where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// What watches one run.
pub(super) struct Progress<'o> {
    output: &'o Output,
    bar: Option<ProgressBar>,
    began: Duration,
    last_line: Duration,
}

impl<'o> Progress<'o> {
    pub(super) fn begin(output: &'o Output) -> Self {
        let is_shown = std::io::stderr().is_terminal() && !output.is_quiet();
        let bar = is_shown.then(|| {
            let bar = ProgressBar::new(0);
            let template = "{bar:30} {percent:>3}%  {msg}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        });
        let now = SystemClock.boot();
        Self { output, bar, began: now, last_line: now }
    }

    /// Tells where the counters stand.
    pub(super) fn tick(&mut self, counters: &Counters) {
        let [rows, read, total] = [&counters.rows, &counters.read, &counters.total]
            .map(|counter| counter.load(Ordering::Relaxed));
        let now = SystemClock.boot();
        let rate = self.rate(rows);
        match &self.bar {
            Some(bar) => {
                bar.set_length(total.max(read));
                bar.set_position(read);
                bar.set_message(format!("{rows} rows, {rate:.0} rows/s"));
            }
            None if LINE <= now.saturating_sub(self.last_line) => {
                self.last_line = now;
                let part = read.saturating_mul(100).checked_div(total).unwrap_or_default();
                self.output.note(format_args!("{rows} rows, {rate:.0} rows/s, {part} % read"));
            }
            None => {}
        }
    }

    /// Takes the bar away; rows a second over the whole run.
    pub(super) fn end(self, rows: u64) -> f64 {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        self.rate(rows)
    }

    #[expect(clippy::cast_precision_loss, reason = "for people")]
    fn rate(&self, rows: u64) -> f64 {
        let elapsed = SystemClock.boot().saturating_sub(self.began).as_secs_f64();
        rows as f64 / elapsed.max(0.001)
    }
}
