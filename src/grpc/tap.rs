//! Counts the frames of a connection as its bytes pass by, and says when it must end: for want of a
//! beginning, or for frames that ask for work and for nothing else.
//!
//! h2 answers each PING and each SETTINGS, and looks at each PRIORITY, for as long as they come; no limit
//! of its own, nor of hyper or tonic, ends that. So such frames draw on an allowance here. It is filled up
//! once a second, and by what a client does that is of use: calls, their data, and reading our answers,
//! since clients measure the line by a PING for what they receive.
//!
//! Invariant: nothing of the bytes is changed or kept but the head of one frame, and what is wrong with
//! them is for h2 to find. Heads are all that is read, so that this costs nothing that can be measured.

use std::time::Duration;
use tokio::time::Instant;

/// How soon the first frame must be there. The client speaks first, and has nothing to wait for.
pub(super) const OPENING_WITHIN: Duration = Duration::from_secs(5);

/// Frames without use that a client may send ahead, and each [`SPAN`].
const ALLOWANCE: u32 = 1000;
const SPAN: Duration = Duration::from_secs(1);

/// How many of them a frame of a call pays for: two windows and a measurement, with room to spare.
const A_CALL_PAYS: u32 = 10;

/// How many bytes of ours pay for one. Answers to a PING or SETTINGS hold 17 and 9, and pay for next to
/// nothing.
const BYTES_PAY: usize = 1024;

/// What HTTP/2 begins with.
const PREFACE: usize = 24;
const HEAD: usize = 9;

/// Types of frames, and the flag of an acknowledgement, by RFC 9113.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;

/// A client sends more frames that nobody needs than it may.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many frames that ask for work and nothing else")]
pub(super) struct TooMany;

/// What is known of a connection's frames.
#[derive(Debug)]
pub(super) struct Tap {
    /// Bytes until the next head: of the preface, or of a frame's payload.
    skip: usize,
    head: [u8; HEAD],
    /// How much of the head is there.
    filled: usize,
    has_begun: bool,
    allowance: u32,
    filled_up: Instant,
    /// Bytes sent that have not paid for a frame yet.
    sent: usize,
}

impl Tap {
    pub(super) fn new() -> Self {
        Self {
            skip: PREFACE,
            head: [0; HEAD],
            filled: 0,
            has_begun: false,
            allowance: ALLOWANCE,
            filled_up: Instant::now(),
            sent: 0,
        }
    }

    /// Whether the first frame's head is there.
    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    /// Takes note of bytes that came in.
    pub(super) fn received(&mut self, mut bytes: &[u8]) -> Result<(), TooMany> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return Ok(());
            }
            let missing = self.head.get_mut(self.filled..).unwrap_or_default();
            let taken = missing.len().min(bytes.len());
            let (head, rest) = bytes.split_at(taken);
            if let Some(missing) = missing.get_mut(..taken) {
                missing.copy_from_slice(head);
            }
            bytes = rest;
            self.filled += taken;
            if self.filled == HEAD {
                self.filled = 0;
                self.has_begun = true;
                let [a, b, c, kind, flags, ..] = self.head;
                // 24 bits.
                self.skip = usize::from(a) << 16 | usize::from(b) << 8 | usize::from(c);
                self.count(kind, flags)?;
            }
        }
    }

    /// Takes note of how many bytes went out.
    pub(super) fn sent(&mut self, bytes: usize) {
        self.sent += bytes;
        if BYTES_PAY <= self.sent {
            let paid = u32::try_from(self.sent / BYTES_PAY).unwrap_or(ALLOWANCE);
            self.sent %= BYTES_PAY;
            self.allowance = self.allowance.saturating_add(paid).min(ALLOWANCE);
        }
    }

    fn count(&mut self, kind: u8, flags: u8) -> Result<(), TooMany> {
        match kind {
            HEADERS => self.allowance = (self.allowance + A_CALL_PAYS).min(ALLOWANCE),
            DATA if self.skip != 0 => {
                self.allowance = (self.allowance + A_CALL_PAYS).min(ALLOWANCE);
            }
            // An answer to what we asked, and what belongs to a frame that was counted: h2 bounds both.
            SETTINGS | PING if flags & ACK != 0 => {}
            CONTINUATION => {}
            _ => match self.allowance.checked_sub(1) {
                Some(left) => self.allowance = left,
                None => return self.fill_up(),
            },
        }
        Ok(())
    }

    fn fill_up(&mut self) -> Result<(), TooMany> {
        let now = Instant::now();
        if now.duration_since(self.filled_up) < SPAN {
            return Err(TooMany);
        }
        (self.filled_up, self.allowance) = (now, ALLOWANCE);
        Ok(())
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, payload: usize) -> Vec<u8> {
        let length = u32::try_from(payload).unwrap().to_be_bytes();
        let head = [&length[1..], &[kind, flags], &[0; 4]].concat();
        [head, vec![0xff; payload]].concat()
    }

    fn opened() -> Tap {
        let mut tap = Tap::new();
        tap.received(&[0; PREFACE]).unwrap();
        assert!(!tap.has_begun());
        tap.received(&frame(SETTINGS, 0, 6)).unwrap();
        assert!(tap.has_begun());
        tap
    }

    /// How many of a frame come through, one after the other, at once.
    fn through(tap: &mut Tap, bytes: &[u8], most: usize) -> usize {
        (0..most).take_while(|_| tap.received(bytes).is_ok()).count()
    }

    #[tokio::test(start_paused = true)]
    async fn frames_without_use_are_taken_up_to_an_allowance_that_time_fills_up() {
        let most = ALLOWANCE as usize;
        for (kind, payload) in
            [(PING, 8), (SETTINGS, 0), (2, 5), (8, 4), (3, 4), (DATA, 0), (99, 3)]
        {
            let flood = frame(kind, 0, payload);
            // One is used already, for the settings that every client sends.
            assert_eq!(through(&mut opened(), &flood, 2 * most), most - 1, "{kind}");
            let mut tap = opened();
            assert_eq!(through(&mut tap, &flood, most - 1), most - 1, "{kind}");
            tokio::time::advance(SPAN).await;
            assert_eq!(through(&mut tap, &flood, 3 * most), most + 1, "{kind}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_calls_reads_or_answers_us_never_runs_out() {
        for (name, payer) in [
            ("a call", frame(HEADERS, 4, 30)),
            ("data", frame(DATA, 0, 1)),
            ("an answer to our ping", frame(PING, ACK, 8)),
        ] {
            let mut tap = opened();
            let pings = if name.starts_with("an answer") { 0 } else { 10 };
            for _ in 0..10_000 {
                tap.received(&payer).unwrap();
                assert_eq!(through(&mut tap, &frame(PING, 0, 8), pings), pings, "{name}");
            }
        }
        let mut tap = opened();
        for _ in 0..10_000 {
            tap.sent(16 * 1024);
            assert_eq!(through(&mut tap, &frame(8, 0, 4), 16), 16, "what we send");
        }
    }

    #[test]
    fn frames_are_found_however_their_bytes_are_cut() {
        let bytes: Vec<u8> = std::iter::repeat_n(0, PREFACE)
            .chain(frame(SETTINGS, 0, 12))
            .chain(frame(HEADERS, 4, 300))
            .chain(frame(PING, 0, 8))
            .chain(frame(DATA, 1, 70_000))
            .chain(frame(PING, 0, 8))
            .collect();
        for size in [1, 2, 7, 9, 10, 4096, bytes.len()] {
            let mut tap = Tap::new();
            tap.allowance = 500;
            bytes.chunks(size).for_each(|part| tap.received(part).unwrap());
            // Three that cost one each, and two that pay for ten.
            assert_eq!((tap.allowance, tap.skip, tap.filled), (517, 0, 0), "{size}");
        }
    }
}
