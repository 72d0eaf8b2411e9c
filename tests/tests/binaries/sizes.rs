//! How large the functions are: what Lambda loads before each first request.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;
use stage::lambda;

/// The most bytes, deflated as in the archive that is uploaded. db-init holds more than the others: regular expressions,
/// which the driver and refinery want, the driver's web certificates, and those of RDS. There is room for what another
/// compiler makes of the same source, and none for another dependency.
const LARGEST: [(&str, usize); 3] = [("db-init", 3_000_000), ("dms-pre", 2_600_000), ("dms-post", 2_700_000)];

#[test]
fn no_function_outgrows_its_budget() {
    for (name, largest) in LARGEST {
        let bytes = std::fs::read(lambda::bootstrap(name).unwrap()).unwrap();
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
        packed.write_all(&bytes).unwrap();
        let size = packed.finish().unwrap().len();
        assert!(size <= largest, "{name}: {size} bytes, deflated");
    }
}
