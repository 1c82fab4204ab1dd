//! The proxy in each of its weathers, on loopback.

use super::dice::Dice;
use super::proxy::{Link, Translation, Weather};
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Long enough for a loaded machine; nobody waits for it when all is well.
const LIMIT: Duration = Duration::from_secs(30);

struct Ends {
    link: Link,
    listener: TcpListener,
    client: TcpStream,
    server: TcpStream,
}

async fn ends() -> Ends {
    ends_with(Translation::default()).await
}

async fn ends_with(translation: Translation) -> Ends {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = listener.local_addr().unwrap();
    let link = Link::open("r1-n1", target, &Dice::new(7), translation).await.unwrap();
    let client = TcpStream::connect(link.address).await.unwrap();
    let (server, _) = within(listener.accept()).await.unwrap();
    Ends { link, listener, client, server }
}

async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, work).await.expect("took too long")
}

async fn said(stream: &mut TcpStream, length: usize) -> String {
    let mut bytes = vec![0; length];
    within(stream.read_exact(&mut bytes)).await.unwrap();
    String::from_utf8(bytes).unwrap()
}

fn nothing_said(stream: &TcpStream) -> bool {
    let found = stream.try_read(&mut [0; 1]);
    found.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
}

/// How a connection ends, seen from here.
async fn end(stream: &mut TcpStream) -> Option<ErrorKind> {
    within(stream.read(&mut [0; 1])).await.err().map(|error| error.kind())
}

#[tokio::test]
async fn a_clear_link_passes_everything_and_the_end() {
    let Ends { link: _link, mut client, mut server, .. } = ends().await;
    client.write_all(b"question").await.unwrap();
    assert_eq!(said(&mut server, 8).await, "question");
    server.write_all(b"answer").await.unwrap();
    drop(server);
    assert_eq!(said(&mut client, 6).await, "answer");
    assert_eq!(end(&mut client).await, None);
}

#[tokio::test]
async fn a_slow_link_passes_everything_in_order() {
    let Ends { link, mut client, mut server, .. } = ends().await;
    link.set(Weather::Slow { delay: Duration::from_millis(2), jitter: Duration::from_millis(20) });
    for word in ["one ", "two ", "three"] {
        client.write_all(word.as_bytes()).await.unwrap();
        tokio::task::yield_now().await;
    }
    assert_eq!(said(&mut server, 13).await, "one two three");
}

#[tokio::test]
async fn a_link_that_is_silent_one_way_passes_the_other_and_delivers_once_it_is_mended() {
    let Ends { link, mut client, mut server, .. } = ends().await;
    link.set(Weather::Silent { up: true, down: false });
    client.write_all(b"held").await.unwrap();
    server.write_all(b"passes").await.unwrap();
    assert_eq!(said(&mut client, 6).await, "passes");
    assert!(nothing_said(&server));
    link.set(Weather::Silent { up: true, down: true });
    link.set(Weather::Clear);
    assert_eq!(said(&mut server, 4).await, "held");
}

#[tokio::test]
async fn what_a_silent_link_holds_is_lost_with_its_connection() {
    let Ends { link, listener, mut client, mut server } = ends().await;
    link.set(Weather::Silent { up: true, down: true });
    client.write_all(b"lost").await.unwrap();
    link.reset();
    assert_eq!(end(&mut client).await, Some(ErrorKind::ConnectionReset));
    link.set(Weather::Clear);
    assert!(nothing_said(&server) || end(&mut server).await.is_none());
    let mut again = TcpStream::connect(link.address).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    again.write_all(b"new").await.unwrap();
    assert_eq!(said(&mut server, 3).await, "new");
}

#[tokio::test]
async fn a_cut_link_resets_what_is_open_and_whatever_is_opened_until_it_is_mended() {
    let Ends { link, listener, mut client, server: _server } = ends().await;
    link.set(Weather::Cut);
    assert_eq!(end(&mut client).await, Some(ErrorKind::ConnectionReset));
    // Whether it is seen while connecting or when reading is the system's choice.
    if let Ok(mut refused) = TcpStream::connect(link.address).await {
        assert_eq!(end(&mut refused).await, Some(ErrorKind::ConnectionReset));
    }
    link.set(Weather::Clear);
    let mut again = TcpStream::connect(link.address).await.unwrap();
    let (mut server, _) = within(listener.accept()).await.unwrap();
    again.write_all(b"new").await.unwrap();
    assert_eq!(said(&mut server, 3).await, "new");
}

#[tokio::test]
async fn an_abandoned_client_is_told_nothing_and_its_server_is() {
    let Ends { link, mut client, mut server, .. } = ends().await;
    link.abandon();
    assert_eq!(end(&mut server).await, None);
    client.write_all(b"anybody?").await.unwrap();
    assert!(nothing_said(&client));
    link.reset();
    assert_eq!(end(&mut client).await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn a_client_of_a_server_that_is_not_there_is_reset() {
    let Ends { link, listener, client, .. } = ends().await;
    drop((client, listener));
    if let Ok(mut refused) = TcpStream::connect(link.address).await {
        assert_eq!(end(&mut refused).await, Some(ErrorKind::ConnectionReset));
    }
}

#[tokio::test]
async fn what_the_server_says_is_translated_and_what_the_client_says_is_not() {
    let words = vec![(b"16379".to_vec(), b"26379".to_vec())];
    let Ends { link: _link, mut client, mut server, .. } = ends_with(Translation::new(words)).await;
    server.write_all(b"$5\r\n16379\r\n").await.unwrap();
    client.write_all(b"16379").await.unwrap();
    assert_eq!(said(&mut client, 11).await, "$5\r\n26379\r\n");
    assert_eq!(said(&mut server, 5).await, "16379");
}

#[test]
fn equal_seeds_throw_equally_and_each_part_in_its_own_way() {
    let throws = |mut dice: Dice| (0..9).map(|_| dice.below(1000)).collect::<Vec<_>>();
    assert_eq!(throws(Dice::new(7)), throws(Dice::new(7)));
    assert_ne!(throws(Dice::new(7)), throws(Dice::new(8)));
    assert_ne!(throws(Dice::new(7).part("up")), throws(Dice::new(7).part("down")));
    let (least, most) = (Duration::from_millis(5), Duration::from_millis(9));
    let mut dice = Dice::new(7);
    assert!((0..99).all(|_| (least..most).contains(&dice.time(least, most))));
    assert_eq!(dice.time(least, least), least);
}
