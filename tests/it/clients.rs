//! The backends of `deploy/clients`, run as their readers run them, against real servers: what they show,
//! what they hide, and what they remember.
//!
//! Each test runs for both languages. On a busy machine any single page may be late and so show nothing;
//! what is asked for at once is therefore only that nothing is shown which must not be.

mod backend;
mod service_config;

use crate::identity::certificates::Authority;
use crate::redis_server::{Flavour, Server as Redis, eventually};
use crate::server::{Server, in_repository};
use backend::{Backend, Language};
use offergate::client::Client;
use offergate::clock::{Clock as _, SystemClock};
use offergate::wire::proto;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tempfile::TempDir;

/// How long the servers' answers hold.
const LIMIT: Duration = Duration::from_secs(2);
const SHORT: &[&str] = &["--staleness-limit", "2s"];

const RULES: &str = "deploy/demo/barclays.rules.yaml";
const YES: &str = "ELIGIBLE NO_RULE_APPLIES";

/// A server on a store of its own with the Barclays rules, which can be started again where it was.
struct Bank {
    server: Server,
    more: &'static [&'static str],
    folder: TempDir,
}

impl Bank {
    fn open(more: &'static [&'static str]) -> Self {
        let folder = TempDir::new().unwrap();
        let server = Server::start_on(&folder.path().join("rules.db"), more);
        server.apply(&in_repository(RULES));
        Self { server, more, folder }
    }

    fn start_again(&mut self) {
        let address = self.server.address.trim_start_matches("http://").to_owned();
        let more = [&["--listen", &address][..], self.more].concat();
        self.server = Server::start_on(&self.folder.path().join("rules.db"), &more);
    }
}

/// Tells threads to stop, whatever becomes of the test.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn only_what_is_eligible_is_shown_and_no_customer_is_named_in_the_log(language: Language) {
    let bank = Bank::open(&[]);
    let backend = Backend::start(language, &[&bank.server], &[]);
    for (customer, offer, show, why) in [
        ("cust-dublin", "kis-12m", true, YES),
        ("cust-london", "kis-12m", false, "INELIGIBLE VENDOR_SUSPENDED"),
        ("cust-nowhere", "kis-12m", false, "INDETERMINATE ATTRIBUTE_MISSING"),
        ("cust-dublin", "no-such-offer", false, "INELIGIBLE OFFER_UNKNOWN"),
    ] {
        let page = backend.becomes(offer, customer, why);
        assert_eq!(page.show, show, "{page:?}");
    }
    eventually("a kept answer", || {
        let page = backend.page("kis-12m", "cust-dublin", None);
        assert!(!page.show || page.why == YES, "{page:?}");
        (page.source == "cache").then_some(())
    });
    // What could not be told is asked anew each time.
    for _ in 0..3 {
        assert_ne!(backend.page("kis-12m", "cust-nowhere", None).source, "cache");
    }
    let no_token = backend.page("kis-12m", "cust-dublin", Some("no-token"));
    assert!(!no_token.show, "{no_token:?}");
    assert!(backend.get("/offers/kis-12m?customer=somebody", None).starts_with("HTTP/1.1 404"));
    let log = backend.log();
    assert!(log.contains("kis-12m") && log.contains("VENDOR_SUSPENDED"), "{log}");
    assert!(!log.contains("cust-"), "{log}");
}

fn without_its_server_it_shows_nothing_once_the_answer_has_run_out(language: Language) {
    let mut bank = Bank::open(SHORT);
    let backend = Backend::start(language, &[&bank.server], &[]);
    backend.becomes("kis-12m", "cust-dublin", YES);
    bank.server.kill();
    let gone = SystemClock.boot();
    let mut after = 0;
    while after < 5 {
        let sent = SystemClock.boot();
        let page = backend.page("kis-12m", "cust-dublin", None);
        assert!(!page.show || sent < gone + LIMIT, "{:?} after: {page:?}", sent - gone);
        after += usize::from(gone + LIMIT <= sent);
        std::thread::sleep(Duration::from_millis(50));
    }
    bank.start_again();
    backend.becomes("kis-12m", "cust-dublin", YES);
}

fn restarts_under_load_cost_no_page_and_show_nothing_wrong(language: Language) {
    let mut bank = Bank::open(SHORT);
    let backend = Backend::start(language, &[&bank.server], &[]);
    backend.becomes("kis-12m", "cust-dublin", YES);
    let (stopped, pages) = (AtomicBool::new(false), AtomicUsize::new(0));
    let answered = AtomicUsize::new(0);
    let visit = |customer: &str| {
        while !stopped.load(Ordering::Relaxed) {
            // Any status but 200 fails here.
            let page = backend.page("kis-12m", customer, None);
            let is_right = match customer {
                "cust-dublin" => !page.show || page.why == YES,
                _ => !page.show,
            };
            assert!(is_right, "{page:?}");
            pages.fetch_add(1, Ordering::Relaxed);
            answered
                .fetch_add(usize::from(page.show && page.source == "server"), Ordering::Relaxed);
        }
    };
    std::thread::scope(|scope| {
        let stop = Stop(&stopped);
        let customers = ["cust-dublin", "cust-london", "cust-nowhere", "cust-dublin"];
        let visitors = customers.map(|customer| scope.spawn(move || visit(customer)));
        for kind in ["TERM", "KILL"] {
            bank.server.signal(kind);
            bank.server.wait();
            bank.start_again();
            backend.becomes("avast-12m", "cust-dublin", YES);
            // What was kept of it has run out before the next one.
            let before = answered.load(Ordering::Relaxed);
            eventually("an answer of the new server", || {
                (before < answered.load(Ordering::Relaxed)).then_some(())
            });
        }
        drop(stop);
        visitors.into_iter().for_each(|visitor| visitor.join().unwrap());
    });
    assert!(0 < pages.load(Ordering::Relaxed));
}

fn a_suspension_hides_the_offer_when_kept_answers_have_run_out_and_with_its_token_at_once(
    language: Language,
) {
    let bank = Bank::open(SHORT);
    let backend = Backend::start(language, &[&bank.server], &[]);
    backend.becomes("kis-12m", "cust-dublin", YES);
    let why = ["--reason=r", "--ticket=T-1"];
    bank.server.by_two(&[&["suspend", "product", "kis", "--id=s-1"][..], &why].concat());
    let suspended = SystemClock.boot();
    let hidden = loop {
        let sent = SystemClock.boot();
        let page = backend.page("kis-12m", "cust-dublin", None);
        assert!(!page.show || sent < suspended + LIMIT, "{:?} after: {page:?}", sent - suspended);
        if page.why.contains("PRODUCT_SUSPENDED") {
            break page;
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    assert_eq!((hidden.show, &*hidden.source), (false, "server"));

    // That answer is kept now. Whoever lifts sees it lifted all the same, and others with it.
    let lifted = bank.server.by_two(&[&["lift", "s-1"][..], &why].concat());
    let token = lifted["revision"]["token"].as_str().unwrap();
    eventually("what is lifted is shown", || {
        let page = backend.page("kis-12m", "cust-dublin", Some(token));
        assert_ne!((page.show, &*page.source), (false, "server"), "{page:?}");
        assert_ne!(page.source, "cache");
        page.show.then_some(())
    });
    backend.becomes("kis-12m", "cust-dublin", YES);
}

fn a_server_with_too_much_to_do_is_not_asked_for_a_while(language: Language) {
    let bank = Bank::open(&["--max-concurrent-checks", "1"]);
    let backend = Backend::start(language, &[&bank.server], &[]);
    backend.becomes("kis-12m", "cust-dublin", YES);
    let stopped = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let _stop = Stop(&stopped);
        for _ in 0..2 {
            scope.spawn(|| keep_busy(&bank.server.address, &stopped));
        }
        let mut number = 0;
        eventually("a refusal", || {
            number += 1;
            // Another offer each time, so that nothing is kept.
            let page = backend.page(&format!("o-{number}"), "cust-dublin", None);
            assert!(!page.show, "{page:?}");
            (page.why == "RESOURCE_EXHAUSTED").then_some(())
        });
    });
    backend.becomes("avast-12m", "cust-dublin", YES);
}

/// Has the server decide a thousand checks at once, again and again.
fn keep_busy(address: &str, stopped: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let check = proto::CheckEligibilityRequest {
        customer: Some(proto::Customer { id: "c".to_owned(), ..<_>::default() }),
        offer: "kis-12m".to_owned(),
        action: proto::Action::Offer.into(),
        ..<_>::default()
    };
    let batch = proto::BatchCheckEligibilityRequest { requests: vec![check; 1000] };
    runtime.block_on(async {
        let client = Client::connect(address, crate::server::LIMIT).await.unwrap();
        while !stopped.load(Ordering::Relaxed) {
            let _ = client.batch_check_eligibility(batch.clone()).await;
        }
    });
}

fn when_one_of_two_servers_is_stopped_the_other_one_answers(language: Language) {
    let (redis, folder) = (Redis::start(Flavour::Redis), TempDir::new().unwrap());
    let url = format!("redis://127.0.0.1:{}", redis.port);
    let replica = |name: &str, listen: &str| {
        let journal = folder.path().join(format!("{name}.journal")).display().to_string();
        let more = ["--replica", name, "--journal", &journal, "--begin-history"];
        let more = [&more[..], &["--staleness-limit=30s", "--listen", listen]].concat();
        Server::start_on(Path::new(&url), &more)
    };
    let mut servers = ["r1", "r2"].map(|name| replica(name, "127.0.0.1:0"));
    servers[0].apply(&in_repository(RULES));
    let backend = Backend::start(language, &[&servers[0], &servers[1]], &[]);
    for page in 0..4 {
        backend.becomes(&format!("first-{page}"), "cust-dublin", "INELIGIBLE OFFER_UNKNOWN");
    }
    for (number, name) in ["r1", "r2"].into_iter().enumerate() {
        servers[number].signal("TERM");
        for page in 0..20 {
            let page = backend.page(&format!("{name}-{page}"), "cust-dublin", None);
            // One may be late, on a busy machine; what is refused by one server is asked of the other.
            let why = ["INELIGIBLE OFFER_UNKNOWN", "DEADLINE_EXCEEDED"];
            assert!(why.contains(&&*page.why), "while {name} stops: {page:?}");
        }
        assert_eq!(servers[number].wait().code(), Some(0));
        backend.becomes(&format!("{name}-gone"), "cust-dublin", "INELIGIBLE OFFER_UNKNOWN");
        let address = servers[number].address.trim_start_matches("http://").to_owned();
        servers[number] = replica(name, &address);
        // Both are asked again: the other one may be the next to stop.
        let seen = |server: &Server| {
            let page = crate::cli_serve::get(&server.management, "/metrics");
            page.lines().any(|line| line.starts_with("offergate_decisions_total{"))
        };
        let mut page = 0;
        eventually("the new server is asked", || {
            page += 1;
            backend.page(&format!("{name}-back-{page}"), "cust-dublin", None);
            seen(&servers[number]).then_some(())
        });
    }
}

fn it_is_let_in_by_its_certificate_and_shows_nothing_without_one(language: Language) {
    let authority = Authority::new("the bank's");
    let rules = authority.path("rules.db");
    let mut plain = Server::start_on(&rules, &[]);
    plain.apply(&in_repository(RULES));
    plain.signal("TERM");
    plain.wait();
    authority.server().service("web", &["spiffe://bank.example/bank/web"]);
    let server = authority.start(&[]);
    let file = |flag: &str, name: &str| format!("--{flag}={}", authority.path(name).display());
    let ca = file("ca-file", "ca.pem");
    let own = [file("certificate-file", "web.pem"), file("key-file", "web.key")];
    let backend = Backend::start(language, &[&server], &[&ca, &own[0], &own[1]]);
    backend.becomes("kis-12m", "cust-dublin", YES);
    let stranger = Backend::start(language, &[&server], &[&ca]);
    for _ in 0..3 {
        let page = stranger.page("kis-12m", "cust-dublin", None);
        assert_eq!((page.show, &*page.source), (false, "nobody"), "{page:?}");
    }
}

macro_rules! in_both_languages {
    ($($name:ident)*) => {
        mod rust {$(
            #[test]
            fn $name() {
                super::$name(super::Language::Rust);
            }
        )*}
        mod python {$(
            #[test]
            fn $name() {
                super::$name(super::Language::Python);
            }
        )*}
    };
}

in_both_languages! {
    only_what_is_eligible_is_shown_and_no_customer_is_named_in_the_log
    without_its_server_it_shows_nothing_once_the_answer_has_run_out
    restarts_under_load_cost_no_page_and_show_nothing_wrong
    a_suspension_hides_the_offer_when_kept_answers_have_run_out_and_with_its_token_at_once
    a_server_with_too_much_to_do_is_not_asked_for_a_while
    when_one_of_two_servers_is_stopped_the_other_one_answers
    it_is_let_in_by_its_certificate_and_shows_nothing_without_one
}
