//! A sender that dies between two writes of its own, at a point that no signal hits on purpose.

use super::Case;
use offergate::jobs::mailing::{Doing, Kind, Wanted};
use offergate::ledger::sqlite::SqliteLedger;
use offergate::ledger::{Fact, Ledger, LedgerError, LedgerKey, Place, State, Step, Tag, Totals};

/// A ledger whose sender dies right before it gives an order.
struct Dying(SqliteLedger);

impl Ledger for Dying {
    fn write(&mut self, steps: &[Step]) -> Result<(), LedgerError> {
        self.0.write(steps)
    }
    fn block(&self, block: i64) -> Result<Vec<(Tag, State)>, LedgerError> {
        self.0.block(block)
    }
    fn totals(&self) -> Result<Totals, LedgerError> {
        self.0.totals()
    }
    fn doubt(&mut self, at: i64) -> Result<u64, LedgerError> {
        self.0.doubt(at)
    }
    fn retry_doubtful(&mut self) -> Result<u64, LedgerError> {
        self.0.retry_doubtful()
    }
    fn doubtful(&self) -> Result<Vec<Place>, LedgerError> {
        self.0.doubtful()
    }
    fn fact(&self, fact: Fact) -> Result<Option<String>, LedgerError> {
        self.0.fact(fact)
    }
    fn set_fact(&mut self, fact: Fact, text: &str) -> Result<(), LedgerError> {
        self.0.set_fact(fact, text)
    }
    fn replace_fact(&mut self, _: Fact, _: Option<&str>, _: &str) -> Result<bool, LedgerError> {
        Err(LedgerError::Missing("it died".to_owned()))
    }
    fn is_named_by(&self, key: &LedgerKey) -> Result<bool, LedgerError> {
        self.0.is_named_by(key)
    }
}

#[test]
fn a_sender_that_dies_at_the_end_of_a_wave_lets_nobody_pass_it_unseen() {
    let mut case = Case::many(100, Kind::Notify);
    case.plan.schedule.waves = vec![10];
    let (ledger, key) = case.ledger();
    let mut ledger = Dying(ledger);
    let told = case.try_send_through(&mut ledger, &key, None).unwrap_err().to_string();
    assert!(told.contains("it died"), "{told}");
    drop(ledger);
    case.send_while(|case| {
        case.until("it pauses", |case| case.is(Doing::Paused, "wave 1"));
        assert_eq!(case.count(State::Sent) + case.count(State::InDoubt), 10);
        case.order(Wanted::Go);
    });
    assert_eq!(case.count(State::Sent) + case.count(State::InDoubt), 100);
}
