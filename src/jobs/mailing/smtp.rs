//! A connection to a mail server: opened when there is something to hand over, used until it breaks.
//!
//! The steps are taken one by one, so that it is known how far a hand-over had come when a connection broke.
//! Before its content is sent nothing can have been taken. From then on it may have been, until the server has said.
//!
//! Invariants: a hand-over that may not go on any more is given up before DATA, and before the content. No message leaves in plain text unless a person said so and the server is this machine.

use crate::jobs::error::JobError;
use crate::jobs::mailing::carrier::{Carrier, Handed};
use crate::jobs::mailing::message::Letter;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{Certificate, SmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset};
use lettre::transport::smtp::extension::{ClientId, Extension, MailParameter};
use lettre::transport::smtp::response::Severity;
use std::io;
use std::sync::Arc;
use std::time::Duration;

/// How long a server may take at least to answer to the content (RFC 5321, 4.5.3.2.6): it may be looking through it,
/// and whoever gives up sooner is in doubt.
const LAST_ANSWER: Duration = Duration::from_secs(600);

/// How a connection is kept from other eyes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Privacy {
    /// TLS from the first byte.
    Tls,
    /// TLS after STARTTLS, or nothing at all is sent.
    StartTls,
    /// Plain text, to this machine alone.
    Plain,
}

/// Where mail goes.
#[derive(Debug, Clone)]
pub struct Way {
    /// The server's name.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the connection is kept from other eyes.
    pub privacy: Privacy,
    /// Name and password.
    pub credentials: Option<(String, Secret)>,
    /// Authorities to trust beside this machine's, as PEM.
    pub authority: Option<Vec<u8>>,
    /// How long each step may take; the answer to the content has ten minutes at least.
    pub timeout: Duration,
}

/// A password.
#[derive(Clone)]
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// One connection.
pub(super) struct Smtp {
    way: Arc<Way>,
    tls: Option<TlsParameters>,
    connection: Option<SmtpConnection>,
}

impl Smtp {
    /// Checks what can be checked without connecting.
    pub(super) fn new(way: &Arc<Way>) -> Result<Self, JobError> {
        let tls = match way.privacy {
            Privacy::Plain if !crate::client::is_this_machine(Some(&way.host)) => {
                return Err(JobError::Usage(format!(
                    "mail to `{}` would leave this machine in plain text",
                    way.host
                )));
            }
            Privacy::Plain => None,
            Privacy::Tls | Privacy::StartTls => {
                let wrong = |error: Error| JobError::Usage(format!("TLS cannot be used: {error}"));
                let mut builder = TlsParameters::builder(way.host.clone());
                if let Some(pem) = &way.authority {
                    builder =
                        builder.add_root_certificate(Certificate::from_pem(pem).map_err(wrong)?);
                }
                Some(builder.build_rustls().map_err(wrong)?)
            }
        };
        Ok(Self { way: Arc::clone(way), tls, connection: None })
    }

    fn connect(&self) -> Result<SmtpConnection, String> {
        let Way { host, port, timeout, .. } = &*self.way;
        let wrong = |error: Error| format!("{host}:{port}: {}", said(&error));
        let hello = ClientId::default();
        let first = self.tls.as_ref().filter(|_| self.way.privacy == Privacy::Tls);
        let mut connection =
            SmtpConnection::connect((host.as_str(), *port), Some(*timeout), &hello, first, None)
                .map_err(wrong)?;
        if let (Privacy::StartTls, Some(tls)) = (self.way.privacy, &self.tls) {
            connection.starttls(tls, &hello).map_err(wrong)?;
        }
        if let Some((user, password)) = &self.way.credentials {
            let credentials = Credentials::new(user.clone(), password.0.clone());
            connection.auth(DEFAULT_MECHANISMS, &credentials).map_err(wrong)?;
        }
        Ok(connection)
    }

    /// Takes the steps before DATA. The connection can be used for the next one unless it is dropped.
    fn before_data(connection: &mut SmtpConnection, letter: &Letter) -> Result<(), Handed> {
        let mut parameters = Vec::new();
        if !letter.to.to_string().is_ascii() || !letter.from.to_string().is_ascii() {
            if !connection.server_info().supports_feature(Extension::SmtpUtfEight) {
                return Err(Handed::Refused("SMTP_NO_UTF8".to_owned()));
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        // A server that refuses the sender refuses everybody: that says nothing about the recipient.
        let closed = |error: Error| Handed::Closed(said(&error));
        connection.command(Mail::new(Some(letter.from.clone()), parameters)).map_err(closed)?;
        connection.command(Rcpt::new(letter.to.clone(), Vec::new())).map_err(|it| answer(&it))?;
        Ok(())
    }

    /// Sends the content, and waits for what the server says of it.
    fn content(&self, connection: &mut SmtpConnection, letter: &Letter) -> io::Result<Handed> {
        connection.set_timeout(Some(LAST_ANSWER.max(self.way.timeout)))?;
        let handed = match connection.message(&letter.bytes) {
            Ok(said) if said.code().severity == Severity::PositiveCompletion => Handed::Taken,
            // 3xx asks for more, where there is no more.
            Ok(_) => Handed::Unknown("SERVER_UNCLEAR"),
            Err(error) if error.status().is_some() => answer(&error),
            Err(error) => return Err(io::Error::other(error)),
        };
        // A connection without its limit again is not used again.
        if connection.set_timeout(Some(self.way.timeout)).is_err() {
            connection.abort();
        }
        Ok(handed)
    }
}

impl Carrier for Smtp {
    fn prepare(&mut self) -> Result<(), Handed> {
        // A connection that the server has closed meanwhile is found out here, and replaced.
        if let Some(connection) = &mut self.connection
            && connection.command(Rset).is_ok()
        {
            return Ok(());
        }
        self.connection = None;
        self.connection = Some(self.connect().map_err(Handed::Closed)?);
        Ok(())
    }

    fn hand_over(&mut self, letter: &Letter, may: &dyn Fn() -> bool) -> Handed {
        let Some(mut connection) = self.connection.take() else {
            return Handed::Closed("there is no connection".to_owned());
        };
        let handed = match Self::before_data(&mut connection, letter) {
            Err(handed) => handed,
            // What was begun is taken back by the RSET before the next one.
            Ok(()) if !may() => Handed::Stopped,
            Ok(()) => match connection.command(Data) {
                Err(error) => answer(&error),
                // Only a connection that ends takes DATA back: nothing of the content was sent.
                Ok(_) if !may() => return Handed::Stopped,
                Ok(_) => match self.content(&mut connection, letter) {
                    Ok(handed) => handed,
                    // No answer, or one that cannot be read: the connection is dropped.
                    Err(_) => return Handed::Unknown("SMTP_NO_ANSWER"),
                },
            },
        };
        if !matches!(handed, Handed::Closed(_)) {
            self.connection = Some(connection);
        }
        handed
    }
}

impl Drop for Smtp {
    fn drop(&mut self) {
        if let Some(connection) = &mut self.connection {
            let _ = connection.quit();
        }
    }
}

/// What a server's refusal means for one recipient. 421 closes the connection and is about no recipient.
fn answer(error: &Error) -> Handed {
    let code = error.status().map(|code| code.to_string());
    match code.as_deref() {
        Some("421") | None => Handed::Closed(said(error)),
        Some(code) if error.is_transient() => Handed::Again(format!("SMTP_{code}")),
        Some(code) => Handed::Refused(format!("SMTP_{code}")),
    }
}

/// What went wrong, with its causes. A server's own words may repeat an address, and are left out.
fn said(error: &Error) -> String {
    if let Some(code) = error.status() {
        return format!("the server answered {code}");
    }
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test may panic")]
mod tests {
    use super::*;
    use crate::ledger::Tag;
    use std::cell::Cell;
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::net::TcpListener;

    /// Serves one connection, and tells what came: the first word of each line, up to QUIT or the end. It looks at
    /// the content for so long.
    fn serve(listener: &TcpListener, looks: Duration) -> Vec<String> {
        let mut stream = listener.accept().unwrap().0;
        let reader = BufReader::new(stream.try_clone().unwrap());
        stream.write_all(b"220 here\r\n").unwrap();
        let (mut came, mut is_content) = (Vec::new(), false);
        for line in reader.lines() {
            let Ok(line) = line else { break };
            let word = line.split(' ').next().unwrap_or_default().to_owned();
            let reply = match word.as_str() {
                "QUIT" => break,
                "DATA" => "354 go on\r\n",
                _ if is_content && word != "." => "",
                _ => "250 fine\r\n",
            };
            is_content = (is_content || word == "DATA") && word != ".";
            if word == "." {
                std::thread::sleep(looks);
            }
            stream.write_all(reply.as_bytes()).unwrap();
            came.push(word);
        }
        came
    }

    fn letter() -> Letter {
        Letter {
            from: "bank@bank.example".parse().unwrap(),
            to: "ann@x.example".parse().unwrap(),
            tag: Tag([1; 16]),
            bytes: b"Subject: x\r\n\r\nHello".to_vec(),
        }
    }

    fn way(listener: &TcpListener, timeout: Duration) -> Arc<Way> {
        Arc::new(Way {
            host: "127.0.0.1".to_owned(),
            port: listener.local_addr().unwrap().port(),
            privacy: Privacy::Plain,
            credentials: None,
            authority: None,
            timeout,
        })
    }

    #[test]
    fn a_server_may_look_at_the_content_for_longer_than_a_step_takes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut smtp = Smtp::new(&way(&listener, Duration::from_millis(500))).unwrap();
        let server = std::thread::spawn(move || serve(&listener, Duration::from_millis(1500)));
        assert_eq!(smtp.prepare(), Ok(()));
        assert_eq!(smtp.hand_over(&letter(), &|| true), Handed::Taken);
        drop(smtp);
        assert_eq!(server.join().unwrap().last().map(String::as_str), Some("."));
    }

    #[test]
    fn a_hand_over_that_may_not_go_on_is_given_up_before_anything_can_be_taken() {
        let letter = letter();
        for (times, handed, came) in [
            (0_u32, Handed::Stopped, vec!["EHLO", "MAIL", "RCPT"]),
            (1, Handed::Stopped, vec!["EHLO", "MAIL", "RCPT", "DATA"]),
            (2, Handed::Taken, vec!["EHLO", "MAIL", "RCPT", "DATA", "Subject:", "", "Hello", "."]),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let mut smtp = Smtp::new(&way(&listener, Duration::from_secs(60))).unwrap();
            let server = std::thread::spawn(move || serve(&listener, Duration::ZERO));
            assert_eq!(smtp.prepare(), Ok(()));
            let left = Cell::new(times);
            let may = || left.replace(left.get().saturating_sub(1)) != 0;
            assert_eq!(smtp.hand_over(&letter, &may), handed, "{times}");
            drop(smtp);
            assert_eq!(server.join().unwrap(), came, "{times}");
        }
    }
}
