//! Floods: frames and messages, as fast as the server takes them.

use super::slow::message;
use super::{Besieged, Ends, flood, in_turn, long, next_frame, now, open};
use crate::api::frames::{
    CHECK, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, FRAME, HEADERS,
    RST_STREAM, SETTINGS, frame, header, headers,
};
use crate::server::LIMIT;
use tokio::io::AsyncWriteExt;

/// Types of frames, by RFC 9113.
const PRIORITY: u8 = 2;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;

/// A call that stays open.
const WATCH: &str = "/offergate.v1.RuleService/WatchRevisions";

/// Frames sent at once.
const AT_ONCE: u32 = 200;

/// The number of the client's stream at this place of a round.
fn stream(round: u32, place: u32) -> u32 {
    2 * (round * AT_ONCE + place) + 1
}

/// What `one` makes of every stream of a round.
fn round(round: u32, one: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..AT_ONCE).flat_map(|place| one(stream(round, place))).collect()
}

fn begins(path: &str, stream: u32) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &headers(path, &[]))
}

/// Attacks, and sees the attacker told to calm down each time.
async fn is_told_to_calm_down(more: impl FnMut(u32) -> Vec<u8>) {
    let besieged = Besieged::start(&[]).await;
    let Ends { told, cut } = flood(besieged.address(), more).await;
    // Now and then cut off before it had read what it was told: a system drops what was not read yet.
    assert!(!told.is_empty(), "{cut} cut");
    assert_eq!(besieged.metric("offergate_connections_cut_off_total", "reason=\"frames\""), 0);
    assert!(told.iter().all(|code| *code == ENHANCE_YOUR_CALM), "{told:?}");
    besieged.survives().await;
}

/// Attacks, and sees the attacker cut off, and counted.
async fn is_cut_off(more: impl FnMut(u32) -> Vec<u8>) {
    let besieged = Besieged::start(&[]).await;
    let Ends { told, cut } = flood(besieged.address(), more).await;
    assert!(0 < cut && told.is_empty(), "{cut} cut, {told:?}");
    let counted = besieged.metric("offergate_connections_cut_off_total", "reason=\"frames\"");
    assert!(cut as u64 <= counted, "{cut} of {counted}");
    besieged.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rapid_reset_ends_the_connection() {
    is_told_to_calm_down(|number| {
        round(number, |stream| {
            [begins(CHECK, stream), frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        })
    })
    .await;
}

/// Streams that the server has to reset, since their windows overflow (CVE-2025-8671).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_that_the_server_is_forced_to_end_the_connection() {
    is_told_to_calm_down(|number| {
        round(number, |stream| {
            let most = 0x7fff_ffff_u32.to_be_bytes();
            [begins(WATCH, stream), frame(WINDOW_UPDATE, 0, stream, &most)].concat()
        })
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_without_number_end_the_connection() {
    is_told_to_calm_down(|number| round(number, |stream| begins(CHECK, stream))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_without_end_end_the_connection() {
    let parts = [Vec::new(), header(b"x", b""), header(b"x", &[b'x'; FRAME - 100])];
    for part in parts {
        is_told_to_calm_down(|number| match number {
            0 => frame(HEADERS, 0, 1, &headers(CHECK, &[])),
            _ => frame(CONTINUATION, 0, 1, &part).repeat(20),
        })
        .await;
    }
}

/// One byte for a header of four thousand.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn headers_that_unpack_to_megabytes_end_the_connection() {
    is_told_to_calm_down(|number| {
        let length = 3000 - 127;
        // Into the table of headers (RFC 7541, 6.2.1), and then from there on and on (6.1).
        let kept = [
            &[0x40, 1, b'x', 127, (length % 128) as u8 | 128, (length / 128) as u8][..],
            &[b'y'; 3000],
        ];
        let block = [headers(CHECK, &[]), kept.concat(), vec![0x80 | 62; 12_000]].concat();
        frame(HEADERS, END_HEADERS | END_STREAM, stream(number, 0), &block)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn empty_data_without_end_ends_the_connection() {
    is_told_to_calm_down(|number| match number {
        0 => begins(CHECK, 1),
        _ => frame(DATA, 0, 1, &[]).repeat(100),
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_without_number_are_cut_off() {
    is_cut_off(|_| frame(PING, 0, 0, &[0; 8]).repeat(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn settings_without_number_are_cut_off() {
    is_cut_off(|_| frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255]).repeat(100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn priorities_window_updates_and_frames_that_nobody_knows_are_cut_off() {
    for (kind, on, payload) in
        [(PRIORITY, 1, &[0, 0, 0, 0, 9][..]), (WINDOW_UPDATE, 0, &[0, 0, 0, 1]), (99, 0, b"?")]
    {
        is_cut_off(move |_| frame(kind, 0, on, payload).repeat(100)).await;
    }
}

/// What they ask for piles up with whoever sends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pings_of_somebody_who_reads_no_answer_are_read_no_more() {
    let besieged = Besieged::start(&[]).await;
    let (until, pings) = (now() + long(), frame(PING, 0, 0, &[0; 8]).repeat(1000));
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(open(besieged.address()).await.unwrap());
    }
    while now() < until {
        for stream in &mut streams {
            let _ = stream.try_write(&pings);
        }
        tokio::task::yield_now().await;
    }
    besieged.survives().await;
}

/// A message that says it has four gigabytes is refused for what it says.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_too_large_are_refused_before_they_come_and_the_connection_goes_on() {
    let besieged = Besieged::start(&[]).await;
    in_turn(besieged.address(), |stream| {
        let large = [&[0, 0xff, 0xff, 0xff, 0xff][..], &[0; 1000]].concat();
        [begins(CHECK, stream), frame(DATA, 0, stream, &large)].concat()
    })
    .await;
    besieged.survives().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn paths_too_long_are_refused_one_by_one_and_the_connection_goes_on() {
    let besieged = Besieged::start(&[]).await;
    let path = format!("/{}", "x".repeat(13 * 1024));
    in_turn(besieged.address(), |stream| {
        frame(HEADERS, END_HEADERS | END_STREAM, stream, &headers(&path, &[]))
    })
    .await;
    besieged.survives().await;
}

/// Answers that nobody lets out: their windows are shut. They take no place from checks.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_nobody_reads_take_no_place_from_those_who_do() {
    let besieged = Besieged::start(&["--max-concurrent-checks=512"]).await;
    let mut shut = Vec::new();
    for _ in 0..20 {
        let mut stream = open(besieged.address()).await.unwrap();
        let no_window = [0, 4, 0, 0, 0, 0];
        stream.write_all(&frame(SETTINGS, 0, 0, &no_window)).await.unwrap();
        for number in 0..100 {
            let asked = [begins(CHECK, 2 * number + 1), message(2 * number + 1)];
            stream.write_all(&asked.concat()).await.unwrap();
        }
        let all_begin = async {
            let mut begun = 0;
            while begun < 100 {
                let (kind, flags, _) = next_frame(&mut stream).await.expect("it is answered");
                let begins = kind == HEADERS && flags & END_STREAM == 0;
                assert!(begins || !matches!(kind, DATA | HEADERS), "it waits for its window");
                begun += u32::from(begins);
            }
        };
        tokio::time::timeout(LIMIT, all_begin).await.expect("each answer begins");
        shut.push(stream);
    }
    tokio::time::sleep(long()).await; // Somebody behaves meanwhile.
    besieged.survives().await;
    drop(shut);
}
