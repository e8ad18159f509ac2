//! What is refused before anything is written.

use super::both;
use crate::{
    MAX_KEY_BYTES, MAX_OPERATIONS, MAX_TXN_BYTES, MAX_VALUE_BYTES, Revision, StoreError, Txn,
};

#[test]
fn keys_are_short_and_printable() {
    both(|store| {
        let long = "k".repeat(MAX_KEY_BYTES);
        store.put(&long, "").unwrap();
        assert!(store.get(&long).unwrap().is_some());
        for bad in ["", "a b", "a\n", "ä", "\u{7f}", &"k".repeat(MAX_KEY_BYTES + 1)] {
            let refused = |result: Result<(), StoreError>| {
                assert!(matches!(result, Err(StoreError::Key { .. })), "{bad:?}");
            };
            refused(store.put(bad, "").map(drop));
            refused(store.get(bad).map(drop));
            refused(store.delete(bad).map(drop));
            refused(store.commit(&Txn::new().if_absent(bad)).map(drop));
            refused(store.commit(&Txn::new().delete_prefix(bad)).map(drop));
            if !bad.is_empty() {
                refused(store.range(bad).map(drop));
            }
        }
        assert_eq!(store.revision().unwrap(), Revision(1));
    });
}

#[test]
fn values_and_transactions_have_bounds() {
    both(|store| {
        let largest = vec![b'v'; MAX_VALUE_BYTES];
        store.put("largest", largest.clone()).unwrap();
        assert_eq!(store.get("largest").unwrap().unwrap().value, largest);
        let error = store.put("larger", vec![0; MAX_VALUE_BYTES + 1]).unwrap_err();
        assert!(matches!(error, StoreError::Value { .. }));

        let many = |count| (0..count).fold(Txn::new(), |txn, i| txn.put(format!("many/{i}"), ""));
        store.commit(&many(MAX_OPERATIONS)).unwrap();
        let error = store.commit(&many(MAX_OPERATIONS + 1)).unwrap_err();
        assert!(matches!(error, StoreError::Operations { .. }));

        let half = vec![0; MAX_TXN_BYTES / 2];
        let both = Txn::new().put("a", half.clone()).put("b", half);
        let error = store.commit(&both).unwrap_err();
        assert!(matches!(error, StoreError::Size { .. }));
        assert!(store.get("a").unwrap().is_none());
    });
}

#[test]
fn a_transaction_writes_a_key_once() {
    both(|store| {
        let twice = [
            Txn::new().put("a", "1").put("a", "2"),
            Txn::new().put("a", "1").delete("a"),
            Txn::new().delete_prefix("a").put("a/b", "1"),
            Txn::new().put("a/b", "1").delete_prefix("a/"),
            Txn::new().delete_prefix("a/b").delete_prefix("a"),
        ];
        for txn in twice {
            let error = store.commit(&txn).unwrap_err();
            assert!(matches!(error, StoreError::WrittenTwice { .. }), "{txn:?}");
        }
        assert_eq!(store.revision().unwrap(), Revision(0));
    });
}
