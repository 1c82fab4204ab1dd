//! Any bytes are taken for a segment of a decision log.

use offergate::audit::decisions::folder::each_line;
use offergate::audit::decisions::segment::{Line, Parts};
use offergate::audit::decisions::{Auditor, Denied, Recorded, Verdict};
use offergate::domain::{ChainHash, SuspensionId, Timestamp};

/// Reads the bytes in every way in which a segment is read, and returns what the auditor says of them:
/// nothing, only if each whole line follows from the one before, and the first one is a header.
pub(crate) fn judged(bytes: &[u8]) -> Verdict {
    let mut auditor = Auditor::new(None);
    auditor.begin(1);
    let id = SuspensionId::parse("barclays-2017").expect("an id");
    let mut denied = Denied::by(&id, Timestamp::MIN);
    let (mut chain, mut holds, mut lines) = (ChainHash::ZERO, true, 0_u64);
    let read = each_line(bytes, |line, is_whole| {
        if let Some(Ok(record)) = std::str::from_utf8(line).ok().map(Recorded::read) {
            let _ = record.request();
        }
        if !is_whole {
            auditor.take_torn();
            return Ok::<_, std::io::Error>(true);
        }
        lines += 1;
        denied.take(line);
        match Parts::of(line) {
            Some(parts) => {
                let is_first = matches!(parts.line, Line::Header(_));
                holds &= parts.follows(chain) && is_first == (lines == 1);
                chain = parts.chain;
            }
            None => holds = false,
        }
        auditor.take(line);
        Ok(true)
    });
    read.expect("bytes in memory are read");
    let verdict = auditor.finish();
    assert!(holds || !verdict.findings.is_empty(), "it is taken for intact: {verdict:?}");
    assert!(denied.denied <= verdict.records.max(lines), "{denied:?}");
    verdict
}
