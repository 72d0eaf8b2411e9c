//! Text arrives as it is in the migration, whatever the server takes for its own.

use serde_json::json;

use super::{ask, db_init, migration, start_with};

/// 'naïve 🦀' in UTF-8.
const NAIVE: &str = "6E61C3AF766520F09FA680";

#[tokio::test]
async fn text_is_stored_once_encoded_on_a_server_of_any_character_set() {
    let sql = "CREATE TABLE t (a VARCHAR(50) CHARACTER SET utf8mb4 DEFAULT 'naïve 🦀' COMMENT 'naïve') \
               DEFAULT CHARSET utf8mb4; INSERT INTO t VALUES ('naïve 🦀'); INSERT INTO t () VALUES ()";
    // Two, since each begins with a session that was reset.
    let list = json!([migration(1, "one", "DO 0"), migration(2, "two", sql)]);
    for arguments in [
        ["--character-set-server=latin1", "--loose-character-set-client-handshake=ON"],
        ["--character-set-server=latin1", "--loose-character-set-client-handshake=OFF"],
        ["--character-set-server=utf8mb3", "--loose-character-set-client-handshake=OFF"],
    ] {
        let server = start_with(&arguments).await;
        for database in ["größe", "shop"] {
            let properties = json!({ "Database": database, "Migrations": list });
            for _ in 0..2 {
                let done = db_init(&server, properties.clone()).await.unwrap();
                assert_eq!(done.get("SchemaVersion"), Some("2"), "{arguments:?}");
            }
        }
        assert_eq!(ask(&server, "SELECT HEX(a) FROM shop.t").await, [NAIVE, NAIVE], "{arguments:?}");
        let comment = "SELECT HEX(CONVERT(COLUMN_COMMENT USING utf8mb4)) FROM information_schema.COLUMNS \
                       WHERE TABLE_SCHEMA = 'shop' AND TABLE_NAME = 't'";
        assert_eq!(ask(&server, comment).await, ["6E61C3AF7665"], "{arguments:?}");
        let name = "SELECT COUNT(*) FROM information_schema.SCHEMATA \
                    WHERE HEX(CONVERT(SCHEMA_NAME USING utf8mb4)) = '6772C3B6C39F65'";
        assert_eq!(ask(&server, name).await, ["1"], "{arguments:?}");
    }
}
