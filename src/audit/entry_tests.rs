//! What entries say, and which are refused.

use super::entry::*;
use super::*;
use crate::audit::record::samples::content;
use crate::domain::*;
use crate::rules::document::change_to_json;

const ANN: &str =
    r#"{"issuer":"unverified","kind":"PERSON","name":"ann","owner":null,"subject":"ann"}"#;

/// An entry as the first version wrote it.
fn former(number: u64) -> String {
    let change = change_to_json(&content(number).change);
    format!(
        "{{\"approver\":null,\"at\":\"2017-12-02T00:00:{number:02}Z\",\"author\":\"ann\",\
         \"change\":{change},\"format\":1,\"kind\":\"APPLY_RULES\",\"reason\":\"because\",\
         \"request_id\":\"request-{number}\",\"revision\":{number},\"ticket\":\"CHG-1\"}}"
    )
}

/// Something that happened, with every field in use.
fn approved() -> NewRecord {
    let robot = Party {
        id: PrincipalId { issuer: "https://id.example".into(), subject: "7".into() },
        name: "robot".into(),
        kind: PrincipalKind::Service,
        owner: Some(PrincipalId::unverified("zoe")),
    };
    NewRecord {
        act: Act::Approve,
        approver: Some(robot),
        address: Some("2001:db8::1".parse().unwrap()),
        direction: Some(Direction::Loosening),
        proposal: Some(Revision(3)),
        digest: Digest::parse(&"0123456789abcdef".repeat(4)),
        starts_now: true,
        ..content(7)
    }
}

#[test]
fn an_entry_is_one_line_with_sorted_keys_and_no_spaces() {
    let empty = NewRecord { change: RuleChange::default(), ..content(7) };
    let change = change_to_json(&empty.change);
    assert_eq!(
        encode(Revision(7), &empty).unwrap(),
        format!(
            "{{\"act\":\"MAKE\",\"address\":null,\"approver\":null,\
             \"at\":\"2017-12-02T00:00:07Z\",\"author\":{ANN},\"change\":{change},\
             \"digest\":null,\"direction\":null,\"format\":2,\"kind\":\"APPLY_RULES\",\
             \"proposal\":null,\"reason\":\"because\",\"refused\":null,\
             \"request_id\":\"request-7\",\"revision\":7,\"starts_now\":false,\
             \"ticket\":\"CHG-1\"}}"
        )
    );
}

#[test]
fn an_entry_of_the_first_format_still_reads_as_a_change_that_was_made() {
    assert_eq!(decode(&former(7)).unwrap(), (Revision(7), content(7)));
    let mut chain = crate::audit::Chain::START;
    let hash = chain.hash_with(former(1));
    let record = chain.follow(Revision(1), hash, &former(1)).unwrap();
    assert_eq!(&*record.entry, former(1));
    let mut again = crate::audit::Chain::START;
    again.pass(&record).unwrap();
    for (from, to) in [
        ("\"approver\":null,", ""),
        ("\"format\":1,", "\"format\":1,\"act\":\"MAKE\","),
        ("\"author\":\"ann\"", "\"author\":7"),
    ] {
        let altered = former(1).replacen(from, to, 1);
        assert_ne!(altered, former(1));
        assert!(decode(&altered).is_err(), "{altered}");
    }
}

#[test]
fn what_happened_is_refused_when_something_is_missing_that_it_takes() {
    let whole = approved();
    assert!(encode(Revision(7), &whole).is_ok());
    let refused = RefusedRequest { code: "X".into(), asked: "y".into(), unwritten: 0 };
    for broken in [
        NewRecord { approver: None, ..whole.clone() },
        NewRecord { direction: None, ..whole.clone() },
        NewRecord { proposal: None, ..whole.clone() },
        NewRecord { digest: None, ..whole.clone() },
        NewRecord { kind: None, ..whole.clone() },
        NewRecord { refused: Some(refused.clone()), ..whole.clone() },
        NewRecord { act: Act::Propose, ..whole.clone() },
        NewRecord { act: Act::Ratify, ..whole.clone() },
        NewRecord { act: Act::Refuse, ..whole.clone() },
        NewRecord { act: Act::Reject, approver: None, ..whole.clone() },
        NewRecord { act: Act::Refuse, refused: Some(refused), ..content(1) },
    ] {
        assert!(encode(Revision(7), &broken).is_err(), "{broken:?}");
    }
}

#[test]
fn an_entry_spells_its_change_as_rule_files_do() {
    let entry = encode(Revision(1), &content(1)).unwrap();
    let change = change_to_json(&content(1).change);
    assert!(entry.contains(&format!("\"change\":{change},")), "{entry}");
}

#[test]
fn an_entry_reads_back_whatever_people_wrote_in_it() {
    let odd = NewRecord {
        author: Party::unverified("Zoë \"Q\" \\ \u{202e}\n"),
        approver: Some(Party::unverified("")),
        reason: "\0\u{7f}\u{2028}".into(),
        at: "-009999-01-02T01:59:59.000000001Z".parse().unwrap(),
        ..approved()
    };
    let entry = encode(Revision(u64::MAX), &odd).unwrap();
    assert_eq!(decode(&entry).unwrap(), (Revision(u64::MAX), odd));
    assert!(!entry.contains('\n'));
}

#[test]
fn an_entry_with_anything_missing_unknown_or_malformed_is_refused() {
    let entry = encode(Revision(1), &content(1)).unwrap();
    for (from, to, expected) in [
        ("\"format\":2", "\"format\":4", "entry has format 4; this version reads formats 1 to 3"),
        (
            "\"format\":2,",
            "\"format\":4,\"x\":0,",
            "entry has format 4; this version reads formats 1 to 3",
        ),
        ("\"format\":2", "\"format\":3", "field `mailing` of the entry does not read"),
        ("\"format\":2,", "\"format\":3,\"x\":0,", "entry is no record"),
        ("\"proposal\":", "\"mailing\":null,\"proposal\":", "entry is no record"),
        ("\"format\":2", "\"format\":2.0", "entry is no record"),
        ("\"format\":2,", "", "entry is no record"),
        ("\"approver\":null,", "", "entry is no record"),
        ("\"name\":\"ann\"", "\"name\":\"ann\",\"x\":0", "entry is no record"),
        ("\"name\":\"ann\"", "\"name\":\"ann\",\"name\":\"eve\"", "entry is no record"),
        ("\"revision\":1", "\"revision\":\"1\"", "entry is no record"),
        ("\"revision\":1", "\"revision\":-1", "entry is no record"),
        ("\"revision\":1", "\"revision\":1e3", "entry is no record"),
        ("MAKE", "make", "field `act` of the entry does not read"),
        ("PERSON", "person", "field `author` of the entry does not read"),
        ("APPLY_RULES", "apply_rules", "field `kind` of the entry does not read"),
        ("request-1", "", "field `request_id` of the entry does not read"),
        ("00:00:01Z", "00:00:01+00:00", "field `at` of the entry does not read"),
        ("00:00:01Z", "00:00:61Z", "field `at` of the entry does not read"),
        ("\"change\":[", "\"change\":[7,", "entry is no record"),
        ("{\"put\":", "{\"x\":0,\"put\":", "entry is no record"),
    ] {
        let altered = entry.replacen(from, to, 1);
        assert_ne!(altered, entry, "{from}");
        assert_eq!(decode(&altered).unwrap_err().to_string(), expected, "{from} -> {to}");
    }
    assert!(matches!(decode(""), Err(EntryError::Malformed(_))));
    assert!(matches!(decode(&entry[..entry.len() - 1]), Err(EntryError::Malformed(_))));
}
#[test]
fn what_is_wrong_with_an_entry_is_told_without_what_stands_in_it() {
    let entry = encode(Revision(1), &content(1)).unwrap();
    for (from, to) in [
        ("{\"put\":", "{\"c-secret\":"),
        ("\"name\":", "\"c-secret\":"),
        ("\"name\":\"ann\"", "\"name\":\"ann\",\"c-secret\":0"),
        ("APPLY_RULES", "c-secret"),
        ("2017", "c-secret"),
        ("request-1", "c secret"),
    ] {
        let error = decode(&entry.replacen(from, to, 1)).unwrap_err();
        let mut chain = error.to_string();
        let mut cause = std::error::Error::source(&error);
        while let Some(next) = cause {
            chain = format!("{chain}: {next}");
            cause = next.source();
        }
        assert!(!chain.contains("secret"), "{chain}");
    }
}

fn mailing() -> Mailing {
    let hash = |digit: &str| ContentHash::parse(&digit.repeat(64)).unwrap();
    Mailing {
        id: MailingId::parse("kis-notice").unwrap(),
        offer: OfferId::parse("kis-12m").unwrap(),
        action: MailingAction::Notify,
        audience: hash("a"),
        recipients: 290_000.try_into().unwrap(),
        template: hash("b"),
        settings: None,
        not_before: None,
        not_after: "2017-12-09T00:00:00Z".parse().unwrap(),
        per_second: 100.try_into().unwrap(),
    }
}

#[test]
fn a_mailing_is_written_in_a_format_of_its_own_and_nothing_else_is() {
    let proposed = NewRecord {
        act: Act::Propose,
        kind: Some(ChangeKind::SendMailing),
        direction: Some(Direction::Loosening),
        digest: approved().digest,
        change: RuleChange::default(),
        mailing: Some(mailing().into()),
        ..content(7)
    };
    let entry = encode(Revision(7), &proposed).unwrap();
    let written = "\"format\":3,\"kind\":\"SEND_MAILING\",\"mailing\":{\"action\":\"NOTIFY\",";
    assert!(entry.contains(written), "{entry}");
    assert_eq!(decode(&entry).unwrap(), (Revision(7), proposed.clone()));
    let whole = Mailing {
        settings: ContentHash::parse(&"c".repeat(64)),
        not_before: Some("2017-12-02T00:00:00Z".parse().unwrap()),
        ..mailing()
    };
    let whole = NewRecord { mailing: Some(whole.into()), ..proposed.clone() };
    assert_eq!(decode(&encode(Revision(7), &whole).unwrap()).unwrap().1, whole);
    for (from, to) in [
        ("\"format\":3", "\"format\":2"),
        ("NOTIFY", "USE"),
        ("\"per_second\":100", "\"per_second\":0"),
        ("\"not_before\":null,", ""),
        ("\"offer\"", "\"x\":0,\"offer\""),
        ("2017-12-09T00:00:00Z", "2017-12-09T00:00:00+00:00"),
        ("aaaa", "AAAA"),
    ] {
        let altered = entry.replacen(from, to, 1);
        assert_ne!(altered, entry, "{from}");
        assert!(decode(&altered).is_err(), "{from} -> {to}");
    }
    let rules = content(7).change;
    for broken in [
        NewRecord { mailing: None, ..proposed.clone() },
        NewRecord { change: rules, ..proposed.clone() },
        NewRecord { act: Act::Emergency, ..proposed.clone() },
        NewRecord { act: Act::Make, mailing: None, ..proposed.clone() },
        NewRecord { kind: Some(ChangeKind::ApplyRules), ..proposed },
    ] {
        assert!(encode(Revision(7), &broken).is_err(), "{broken:?}");
    }
}

#[test]
fn the_ledger_of_a_mailing_is_written_when_it_is_begun_and_with_nothing_else() {
    let begun = NewRecord {
        act: Act::Begin,
        kind: Some(ChangeKind::SendMailing),
        proposal: Some(Revision(3)),
        change: RuleChange::default(),
        ledger: LedgerId::parse(&"0123456789abcdef".repeat(2)),
        ..content(7)
    };
    let entry = encode(Revision(7), &begun).unwrap();
    let written = "\"format\":3,\"kind\":\"SEND_MAILING\",\"ledger\":\"0123456789abcdef";
    assert!(entry.contains(written) && entry.contains("\"act\":\"BEGIN\""), "{entry}");
    assert_eq!(decode(&entry).unwrap(), (Revision(7), begun.clone()));
    let other = NewRecord { ledger: LedgerId::parse(&"f".repeat(32)), ..begun.clone() };
    assert!(!other.asks_the_same_as(&begun));
    for (from, to) in [
        ("\"format\":3", "\"format\":2"),
        ("\"ledger\":\"0", "\"ledger\":\"X"),
        ("\"ledger\":", "\"ledger\":null,\"x\":"),
        ("\"ledger\":\"0123456789abcdef0123456789abcdef\"", "\"ledger\":null"),
    ] {
        let altered = entry.replacen(from, to, 1);
        assert_ne!(altered, entry, "{from}");
        assert!(decode(&altered).is_err(), "{from} -> {to}");
    }
    for broken in [
        NewRecord { ledger: None, ..begun.clone() },
        NewRecord { proposal: None, ..begun.clone() },
        NewRecord { kind: Some(ChangeKind::ApplyRules), ..begun.clone() },
        NewRecord { mailing: Some(mailing().into()), ..begun.clone() },
        NewRecord { change: content(7).change, ..begun.clone() },
        NewRecord { act: Act::Withdraw, ..begun },
    ] {
        assert!(encode(Revision(7), &broken).is_err(), "{broken:?}");
    }
}
