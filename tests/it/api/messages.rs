//! Bytes that no client of ours would send: whatever comes, a clear status goes back and the server
//! stays up.

use super::server::{Server, check};
use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use offergate::wire::proto;
use prost::Message;
use tokio::net::TcpStream;
use tonic::Code;

const CHECK: &str = "/offergate.v1.EligibilityService/CheckEligibility";

/// A connection that sends what it is told to, and reads deadlines into nothing.
pub(super) type Raw = SendRequest<Bytes>;

pub(super) async fn connect(server: &Server) -> Raw {
    let stream = TcpStream::connect(&server.address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    send
}

/// Sends bytes to a path, and returns the status that comes back.
pub(super) async fn send(
    raw: &mut Raw,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Code {
    try_to_send(raw, path, headers, body).await.unwrap()
}

/// The same, where HTTP/2 itself may say no.
async fn try_to_send(
    raw: &mut Raw,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Result<Code, h2::Error> {
    let mut request = Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let code = exchange(raw, request.body(()).unwrap(), Some(body)).await?;
    Ok(code.expect("a status in headers or trailers"))
}

/// Sends a request as it is, with a body or with nothing behind its headers; `None` where what comes
/// back is no gRPC.
async fn exchange(
    raw: &mut Raw,
    request: Request<()>,
    body: Option<Vec<u8>>,
) -> Result<Option<Code>, h2::Error> {
    let mut ready = raw.clone().ready().await?;
    let (response, mut stream) = ready.send_request(request, body.is_none())?;
    if let Some(body) = body {
        // A server that has heard enough may reset the stream before it has heard all.
        let _ = stream.send_data(body.into(), true);
    }
    let (parts, mut body) = response.await?.into_parts();
    let mut status = code_in(&parts.headers);
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    if let Some(trailers) = body.trailers().await? {
        status = code_in(&trailers);
    }
    Ok(status)
}

fn code_in(headers: &HeaderMap) -> Option<Code> {
    headers.get("grpc-status").map(|status| Code::from_bytes(status.as_bytes()))
}

/// A message with gRPC's own prefix.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], length.as_slice(), message].concat()
}

/// The server answers a sound check as ever.
async fn is_up(server: &Server) -> bool {
    server.check(check()).await.is_ok()
}

#[tokio::test]
async fn a_check_cut_off_at_any_byte_is_refused_or_means_less_and_is_never_eligible() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let whole = check().encode_to_vec();
    for end in 0..whole.len() {
        let code = send(&mut raw, CHECK, &[], framed(&whole[..end])).await;
        assert!(matches!(code, Code::InvalidArgument | Code::Ok), "{end}: {code}");
        if let Ok(message) = proto::CheckEligibilityRequest::decode(&whole[..end])
            && let Ok(decision) = server.check(message).await
        {
            assert_ne!(decision.outcome(), proto::Outcome::Eligible, "{end}");
        }
    }
    assert!(is_up(&server).await);
}

#[tokio::test]
async fn messages_that_are_no_protobuf_are_refused_and_the_server_stays_up() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let mut deep = BytesMut::new();
    for _ in 0..200 {
        // A list value in a list value, and so on.
        let inner = deep.split().freeze();
        deep.extend([0x32, 0]);
        let mut outer = BytesMut::from(&[0x0a][..]);
        prost::encoding::encode_varint(inner.len() as u64, &mut outer);
        outer.extend(inner);
        deep = BytesMut::from(&[0x32][..]);
        prost::encoding::encode_varint(outer.len() as u64, &mut deep);
        deep.extend(outer);
    }
    let nested = |value: &[u8]| {
        // customer.attributes["a"] = value
        let mut entry = vec![0x0a, 1, b'a', 0x12];
        prost::encoding::encode_varint(value.len() as u64, &mut entry);
        entry.extend(value);
        let mut customer = vec![0x4a];
        prost::encoding::encode_varint(entry.len() as u64, &mut customer);
        customer.extend(entry);
        let mut request = vec![0x0a];
        prost::encoding::encode_varint(customer.len() as u64, &mut request);
        request.extend(customer);
        request
    };
    for (name, message) in [
        ("wrong wire type", vec![0x08, 0x01]),
        ("varint overflow", [vec![0x18], vec![0xff; 11]].concat()),
        ("length past the end", vec![0x12, 0x7f, b'x']),
        ("no UTF-8", vec![0x12, 2, 0xff, 0xfe]),
        ("nested 200 deep", nested(&deep)),
        ("field number 0", vec![0x00]),
    ] {
        assert_eq!(
            send(&mut raw, CHECK, &[], framed(&message)).await,
            Code::InvalidArgument,
            "{name}"
        );
    }
    let empty = send(&mut raw, CHECK, &[], framed(&[])).await;
    assert_eq!(empty, Code::InvalidArgument, "an empty message asks for nobody");
    assert!(is_up(&server).await);
}

#[tokio::test]
async fn unknown_fields_are_passed_over_and_the_last_of_a_doubled_field_counts() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let unknown = [check().encode_to_vec(), vec![0xfa, 0x7f, 3, 1, 2, 3]].concat();
    assert_eq!(send(&mut raw, CHECK, &[], framed(&unknown)).await, Code::Ok);
    let doubled = [check().encode_to_vec(), vec![0x18, 0x63]].concat();
    assert_eq!(send(&mut raw, CHECK, &[], framed(&doubled)).await, Code::InvalidArgument);
}

#[tokio::test]
async fn frames_that_lie_or_are_too_large_are_refused_and_the_server_stays_up() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let padded = |size: usize| {
        // Field 2047 is nobody's.
        let mut message = vec![0xfa, 0x7f];
        prost::encoding::encode_varint(size as u64, &mut message);
        message.extend(vec![0; size]);
        [check().encode_to_vec(), message].concat()
    };
    let batch = "/offergate.v1.EligibilityService/BatchCheckEligibility";
    for (name, path, body, expected) in [
        ("4 GiB announced", CHECK, vec![0, 0xff, 0xff, 0xff, 0xff, 1], Code::ResourceExhausted),
        ("compressed without encoding", CHECK, vec![1, 0, 0, 0, 1, 0], Code::InvalidArgument),
        ("a check of 70 KB", CHECK, framed(&padded(70_000)), Code::ResourceExhausted),
        ("unknown fields of 1 MB", CHECK, framed(&padded(1_000_000)), Code::ResourceExhausted),
        ("a batch of 70 KB", batch, framed(&padded(70_000)), Code::InvalidArgument),
        ("a batch of 2 MB", batch, framed(&padded(2_000_000)), Code::ResourceExhausted),
        ("no such method", "/offergate.v1.EligibilityService/Nothing", vec![], Code::Unimplemented),
        ("no such service", "/nobody/Nothing", vec![], Code::Unimplemented),
        ("two slashes", "//CheckEligibility", vec![], Code::Unimplemented),
    ] {
        assert_eq!(send(&mut raw, path, &[], body).await, expected, "{name}");
    }
    assert!(is_up(&server).await);
}

#[tokio::test]
async fn a_deadline_that_has_passed_ends_the_call_as_such_and_one_that_does_not_read_is_refused() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let body = framed(&check().encode_to_vec());
    for (timeout, expected) in [
        ("0n", Code::DeadlineExceeded),
        ("0S", Code::DeadlineExceeded),
        ("99999999H", Code::Ok),
        ("-1S", Code::InvalidArgument),
        ("abc", Code::InvalidArgument),
        ("10S", Code::Ok),
    ] {
        let headers = [("grpc-timeout", timeout)];
        let code = send(&mut raw, CHECK, &headers, body.clone()).await;
        assert_eq!(code, expected, "{timeout}");
    }
    // A stream that nobody ends ends at its deadline.
    let watch = "/offergate.v1.RuleService/WatchRevisions";
    let headers = [("grpc-timeout", "50m")];
    let code = send(&mut raw, watch, &headers, framed(&[])).await;
    assert_eq!(code, Code::DeadlineExceeded);
}

#[tokio::test]
async fn odd_headers_are_refused_or_ignored_and_the_server_stays_up() {
    let server = Server::start().await;
    let body = framed(&check().encode_to_vec());
    let long = "x".repeat(64 * 1024);
    for (name, headers, expected) in [
        ("no base64", vec![("odd-bin", "!!!!")], Some(Code::Ok)),
        ("authorization of 64 KB", vec![("authorization", long.as_str())], None),
        ("ten thousand entries", vec![("a", "b"); 10_000], None),
    ] {
        // What breaks the limits of HTTP/2 costs the sender its stream or its connection.
        let mut raw = connect(&server).await;
        let sent = try_to_send(&mut raw, CHECK, &headers, body.clone()).await;
        assert_eq!(sent.ok(), expected, "{name}");
        assert!(is_up(&server).await, "{name}");
    }
}

#[tokio::test]
async fn a_request_without_te_is_served_and_one_without_a_body_or_with_a_huge_path_is_refused() {
    let server = Server::start().await;
    let body = framed(&check().encode_to_vec());
    let to = |path: &str| {
        let request = Request::post(format!("http://localhost{path}"));
        request.header("content-type", "application/grpc").body(()).unwrap()
    };
    let mut raw = connect(&server).await;
    let served = exchange(&mut raw, to(CHECK), Some(body.clone())).await;
    assert_eq!(served.unwrap(), Some(Code::Ok), "no `te`");
    let empty = exchange(&mut raw, to(CHECK), None).await;
    assert_eq!(empty.unwrap(), Some(Code::InvalidArgument), "headers and nothing else");
    let long = format!("/{}", "x".repeat(6_000));
    let unknown = exchange(&mut raw, to(&long), Some(body.clone())).await;
    assert_eq!(unknown.unwrap(), Some(Code::Unimplemented), "a long path");
    // Longer than all headers may be together: HTTP/2 itself says no.
    let huge = format!("/{}", "x".repeat(13_000));
    let mut raw = connect(&server).await;
    let refused = exchange(&mut raw, to(&huge), Some(body)).await;
    assert_eq!(refused.ok().flatten(), None, "a huge path");
    assert!(is_up(&server).await);
}

#[tokio::test]
async fn what_is_no_grpc_gets_no_answer_of_grpc_and_the_server_stays_up() {
    let server = Server::start().await;
    let mut raw = connect(&server).await;
    let json = br#"{"offer": "kis-12m"}"#.to_vec();
    assert_eq!(send(&mut raw, CHECK, &[], json).await, Code::InvalidArgument);
    assert_eq!(
        send(&mut raw, CHECK, &[], vec![]).await,
        Code::InvalidArgument,
        "no message at all"
    );
    let mut plain = TcpStream::connect(&server.address).await.unwrap();
    tokio::io::AsyncWriteExt::write_all(&mut plain, b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    // HTTP/1 is not spoken here: the server hangs up.
    let _ = tokio::io::AsyncReadExt::read_to_end(&mut plain, &mut said).await;
    assert!(!said.starts_with(b"HTTP/1.1 200"));
    assert!(is_up(&server).await);
}
