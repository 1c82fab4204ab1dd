//! HTTP/2 that no library sends, byte by byte: whoever breaks the protocol loses a stream or a
//! connection of his own, and everybody else is served as before.

use super::messages::framed;
use super::server::{Server, check};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Types, flags and error codes of RFC 9113.
pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const CONTINUATION: u8 = 9;
pub(crate) const END_STREAM: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;
const PROTOCOL_ERROR: u32 = 1;
const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// Largest frame that may be sent.
pub(crate) const FRAME: usize = 16 * 1024;

pub(crate) const CHECK: &str = "/offergate.v1.EligibilityService/CheckEligibility";

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A header written out, by HPACK (RFC 7541, 6.2.2): no index, no Huffman code.
pub(crate) fn header(name: &[u8], value: &[u8]) -> Vec<u8> {
    let length = |text: &[u8]| {
        // A length below 127 stands for itself; what is above follows in groups of seven bits.
        let Some(mut above) = text.len().checked_sub(127) else { return vec![text.len() as u8] };
        let mut bytes = vec![127];
        while 128 <= above {
            bytes.push((above % 128) as u8 | 128);
            above /= 128;
        }
        bytes.push(above as u8);
        bytes
    };
    [&[0], length(name).as_slice(), name, length(value).as_slice(), value].concat()
}

/// The headers of a call, and more.
pub(crate) fn headers(path: &str, more: &[(&[u8], &[u8])]) -> Vec<u8> {
    let usual: [(&[u8], &[u8]); 6] = [
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", path.as_bytes()),
        (b":authority", b"localhost"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    ];
    usual.iter().chain(more).flat_map(|(name, value)| header(name, value)).collect()
}

/// A call: its headers, in as many frames as they need, and its message.
fn call(stream: u32, headers: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut parts = headers.chunks(FRAME).peekable();
    let mut kind = HEADERS;
    while let Some(part) = parts.next() {
        let flags = if parts.peek().is_none() { END_HEADERS } else { 0 };
        bytes.extend(frame(kind, flags, stream, part));
        kind = CONTINUATION;
    }
    bytes.extend(message(stream));
    bytes
}

fn message(stream: u32) -> Vec<u8> {
    frame(DATA, END_STREAM, stream, &framed(&check().encode_to_vec()))
}

/// What the server made of it.
#[derive(Debug, PartialEq)]
enum End {
    /// An answer with a message.
    Answered,
    /// Headers that are the whole answer.
    Refused,
    /// The stream was reset, for this reason.
    Reset(u32),
    /// The connection was given up, for this reason.
    GoneAway(u32),
    /// The server hung up.
    Closed,
}

async fn connect(server: &Server) -> TcpStream {
    open(&server.address).await
}

async fn open(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).await.unwrap();
    stream
}

/// Reads frames until something ends.
async fn end(stream: &mut TcpStream) -> End {
    let mut has_message = false;
    loop {
        let mut head = [0; 9];
        if stream.read_exact(&mut head).await.is_err() {
            return End::Closed;
        }
        let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
        if stream.read_exact(&mut payload).await.is_err() {
            return End::Closed;
        }
        let code = |at: usize| u32::from_be_bytes(payload[at..at + 4].try_into().unwrap());
        match (head[3], head[4] & END_STREAM) {
            (RST_STREAM, _) => return End::Reset(code(0)),
            (GOAWAY, _) => return End::GoneAway(code(4)),
            (HEADERS, END_STREAM) if has_message => return End::Answered,
            (HEADERS, END_STREAM) => return End::Refused,
            (DATA, _) => has_message = true,
            _ => {}
        }
    }
}

/// Opens a connection that does nothing, and waits until the server gives it up; for which reason.
pub(crate) async fn until_it_is_given_up(address: &str) -> u32 {
    let mut stream = open(address).await;
    let end = tokio::time::timeout(crate::server::LIMIT, end(&mut stream)).await;
    match end.expect("it is given up") {
        End::GoneAway(code) => code,
        end => panic!("{end:?}"),
    }
}

/// Sends bytes on a connection of their own.
async fn send(server: &Server, bytes: &[u8]) -> End {
    let mut stream = connect(server).await;
    // A server that has heard enough may hang up before it has heard all.
    let _ = stream.write_all(bytes).await;
    tokio::time::timeout(std::time::Duration::from_secs(10), end(&mut stream))
        .await
        .expect("the server says something")
}

#[tokio::test]
async fn whoever_breaks_http2_is_told_so_and_everybody_else_is_served() {
    let server = Server::start().await;
    let usual = headers(CHECK, &[]);
    // One that stays open, so that it is there still when more data comes.
    let watch = headers("/offergate.v1.RuleService/WatchRevisions", &[]);
    let watch =
        [frame(HEADERS, END_HEADERS, 1, &watch), frame(DATA, END_STREAM, 1, &framed(&[]))].concat();
    let long = vec![b'x'; 64 * 1024];
    let many: Vec<(&[u8], &[u8])> = vec![(b"a", b"b"); 10_000];
    let path = format!("/{}", "x".repeat(8 * 1024));
    for (name, bytes, expected) in [
        ("nothing odd", call(1, &usual), End::Answered),
        (
            "data after the end of its stream",
            [watch, message(1)].concat(),
            End::GoneAway(PROTOCOL_ERROR),
        ),
        (
            "a value with a line break",
            call(1, &headers(CHECK, &[(b"x", b"a\r\nb: c")])),
            End::GoneAway(PROTOCOL_ERROR),
        ),
        (
            "a name in capitals",
            call(1, &headers(CHECK, &[(b"X-Odd", b"a")])),
            End::GoneAway(PROTOCOL_ERROR),
        ),
        ("10,000 entries", call(1, &headers(CHECK, &many)), End::GoneAway(ENHANCE_YOUR_CALM)),
        (
            "an authorization of 64 KB",
            call(1, &headers(CHECK, &[(b"authorization", &long)])),
            End::GoneAway(ENHANCE_YOUR_CALM),
        ),
        // Once over what headers may be together: 431, and the connection goes on.
        ("a path of 8 KB", call(1, &headers(&path, &[])), End::Refused),
        ("no base64", call(1, &headers(CHECK, &[(b"odd-bin", b"!!!!")])), End::Answered),
        ("an index that is none", call(1, &[0xff, 0x7f]), End::GoneAway(PROTOCOL_ERROR)),
        ("data before headers", message(1), End::GoneAway(PROTOCOL_ERROR)),
        ("an even stream", call(2, &usual), End::GoneAway(PROTOCOL_ERROR)),
        ("5 bytes of settings", frame(SETTINGS, 0, 0, &[0; 5]), End::GoneAway(PROTOCOL_ERROR)),
        (
            "a frame of 16 MB",
            [&[0xff; 3], &[DATA, 0, 0, 0, 0, 1][..]].concat(),
            End::GoneAway(FRAME_SIZE_ERROR),
        ),
    ] {
        let told = send(&server, &bytes).await;
        assert_eq!(told, expected, "{name}");
        assert!(server.check(check()).await.is_ok(), "{name}");
    }
}
