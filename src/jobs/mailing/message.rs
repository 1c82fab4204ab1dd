//! The bytes of one recipient's message.
//!
//! Invariant: the same recipient has the same `Message-ID` however often a message is made, so that whoever
//! receives one twice can tell. Everything is 7-bit, and no value can begin a header.

use crate::domain::Timestamp;
use crate::jobs::mailing::template::{Rendered, Template};
use crate::ledger::Tag;
use lettre::Address;
use lettre::message::header::{ContentType, HeaderName, HeaderValue, MIME_VERSION_1_0};
use lettre::message::{Mailbox, Message, MultiPart, SinglePart};

/// A message that can be handed over.
pub(super) struct Letter {
    pub(super) from: Address,
    pub(super) to: Address,
    /// Who, for the names of files.
    pub(super) tag: Tag,
    pub(super) bytes: Vec<u8>,
}

/// Makes the message.
pub(super) fn letter(
    template: &Template,
    rendered: Rendered,
    to: &Address,
    tag: Tag,
    now: Timestamp,
) -> Result<Letter, String> {
    let domain = template.from.email.domain();
    let date = now.try_into().map_err(|_| "the clock shows no date of our time".to_owned())?;
    let mut builder = Message::builder()
        .from(template.from.clone())
        .to(Mailbox::new(None, to.clone()))
        .subject(rendered.subject)
        .date(date)
        .message_id(Some(format!("<{tag}@{domain}>")));
    if let Some(reply_to) = &template.reply_to {
        builder = builder.reply_to(reply_to.clone());
    }
    if let Some(way) = rendered.unsubscribe {
        let one_click = way.starts_with("https://");
        builder = builder.raw_header(raw("List-Unsubscribe", format!("<{way}>")));
        if one_click {
            let value = "List-Unsubscribe=One-Click".to_owned();
            builder = builder.raw_header(raw("List-Unsubscribe-Post", value));
        }
    }
    let message = match rendered.html {
        None => {
            let builder = builder.header(MIME_VERSION_1_0).header(ContentType::TEXT_PLAIN);
            builder.body(with_one_line_end(&rendered.text))
        }
        Some(html) => builder.multipart(
            MultiPart::alternative()
                .boundary(format!("part-{tag}"))
                .singlepart(SinglePart::plain(with_one_line_end(&rendered.text)))
                .singlepart(SinglePart::html(with_one_line_end(&html))),
        ),
    };
    let message = message.map_err(|error| error.to_string())?;
    let from = template.from.email.clone();
    Ok(Letter { from, to: to.clone(), tag, bytes: message.formatted() })
}

/// A text whose lines all end alike. Some servers take a CR by itself for the end of a line, and what follows it for a
/// command, while the one before them did not.
fn with_one_line_end(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n")
}

fn raw(name: &'static str, value: String) -> HeaderValue {
    HeaderValue::new(HeaderName::new_from_ascii_str(name), value)
}

#[cfg(test)]
mod tests {
    use super::with_one_line_end;

    #[test]
    fn no_value_brings_an_end_of_a_line_of_its_own() {
        assert_eq!(with_one_line_end("a\r.\rMAIL FROM:<b>\r\nc\n\r"), "a\n.\nMAIL FROM:<b>\nc\n\n");
    }
}
