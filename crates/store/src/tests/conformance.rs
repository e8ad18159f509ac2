//! What etcd does, on both backings.

use serde::{Deserialize, Serialize};

use super::both;
use crate::{Outcome, Revision, Store, StoreError, Txn};

fn keys(store: &Store, prefix: &str) -> Vec<String> {
    store.range(prefix).unwrap().into_iter().map(|entry| entry.key).collect()
}

fn commits(store: &Store, txn: &Txn) -> bool {
    store.commit(txn).unwrap().committed().is_some()
}

#[test]
fn a_key_has_the_history_that_etcd_gives_it() {
    both(|store| {
        assert_eq!(store.revision().unwrap(), Revision(0));
        assert_eq!(store.get("a").unwrap(), None);
        store.put("a", "1").unwrap();
        store.put("b", "1").unwrap();
        assert_eq!(store.put("a", "2").unwrap(), Revision(3));
        let a = store.get("a").unwrap().unwrap();
        assert_eq!((a.value.as_slice(), a.version), (&b"2"[..], 2));
        assert_eq!((a.create_revision, a.mod_revision), (Revision(1), Revision(3)));

        assert_eq!(store.delete("a").unwrap(), Revision(4));
        assert_eq!(store.get("a").unwrap(), None);
        store.put("a", "3").unwrap();
        let a = store.get("a").unwrap().unwrap();
        assert_eq!((a.create_revision, a.mod_revision, a.version), (Revision(5), Revision(5), 1));
    });
}

#[test]
fn one_transaction_is_one_revision() {
    both(|store| {
        store.put("old", "").unwrap();
        let txn = Txn::new().put("a", "1").put("b", "2").delete("old");
        assert_eq!(store.commit(&txn).unwrap(), Outcome::Committed(Revision(2)));
        for entry in store.range("").unwrap() {
            assert_eq!(entry.mod_revision, Revision(2), "{}", entry.key);
        }
        assert_eq!(keys(store, ""), ["a", "b"]);
    });
}

#[test]
fn what_changes_nothing_does_not_count() {
    both(|store| {
        store.put("a", "1").unwrap();
        assert_eq!(store.delete("missing").unwrap(), Revision(1));
        assert_eq!(store.commit(&Txn::new()).unwrap(), Outcome::Committed(Revision(1)));
        assert!(commits(store, &Txn::new().if_exists("a").delete_prefix("x/")));
        assert_eq!(store.revision().unwrap(), Revision(1));
        // The same value again is a write.
        assert_eq!(store.put("a", "1").unwrap(), Revision(2));
    });
}

#[test]
fn the_revision_survives_deleting_everything() {
    both(|store| {
        store.put("a", "1").unwrap();
        store.put("b", "1").unwrap();
        assert!(commits(store, &Txn::new().delete("a").delete("b")));
        assert!(keys(store, "").is_empty());
        assert_eq!(store.put("a", "").unwrap(), Revision(4));
    });
}

#[test]
fn conditions_decide_and_a_conflict_tells_what_is_there() {
    both(|store| {
        store.put("a", "1").unwrap();
        store.put("a", "2").unwrap();
        let holding = [
            Txn::new().if_exists("a"),
            Txn::new().if_absent("b"),
            Txn::new().if_unchanged("a", Revision(2)),
            Txn::new().if_unchanged("b", Revision(0)),
            Txn::new().if_version("a", 2),
            Txn::new().if_version("b", 0),
            Txn::new().if_value("a", "2"),
        ];
        for txn in holding {
            assert!(commits(store, &txn), "{txn:?}");
        }
        let failing = [
            Txn::new().if_absent("a"),
            Txn::new().if_exists("b"),
            Txn::new().if_unchanged("a", Revision(1)),
            Txn::new().if_unchanged("a", Revision(0)),
            Txn::new().if_version("a", 1),
            Txn::new().if_value("a", "1"),
            Txn::new().if_value("b", ""),
            Txn::new().if_exists("a").if_exists("b"),
        ];
        for txn in failing {
            let txn = txn.put("written", "").delete("a");
            let Outcome::Conflict { key, found } = store.commit(&txn).unwrap() else {
                panic!("{txn:?} was committed")
            };
            assert_eq!(found, store.get(&key).unwrap());
        }
        assert_eq!(keys(store, ""), ["a"]);
        assert_eq!(store.revision().unwrap(), Revision(2));
    });
}

#[test]
fn a_range_is_a_prefix_in_the_order_of_bytes() {
    both(|store| {
        for key in ["apps/b", "apps/a/x", "apps/a", "apps", "apps0", "apps~/", "Apps/a", "apq"] {
            store.put(key, "").unwrap();
        }
        assert_eq!(keys(store, "apps/"), ["apps/a", "apps/a/x", "apps/b"]);
        assert_eq!(keys(store, "apps").len(), 6);
        assert_eq!(keys(store, "").len(), 8);
        assert_eq!(keys(store, "").first().unwrap(), "Apps/a");
        assert!(keys(store, "x").is_empty());
        assert!(commits(store, &Txn::new().delete_prefix("apps/a").put("apps/b", "2")));
        assert_eq!(keys(store, "apps/"), ["apps/b"]);
    });
}

#[test]
fn json_reads_back_with_its_revision() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Scale {
        web: u32,
    }
    both(|store| {
        store.put_json("scale/shop", &Scale { web: 2 }).unwrap();
        let scale = store.get_json::<Scale>("scale/shop").unwrap().unwrap();
        assert_eq!(scale.value, Scale { web: 2 });
        let next = Txn::new()
            .if_unchanged(&scale.key, scale.mod_revision)
            .put_json(&scale.key, &Scale { web: scale.value.web + 1 });
        assert!(commits(store, &next));
        assert!(!commits(store, &next), "the second one read an older state");
        let all = store.range_json::<Scale>("scale/").unwrap();
        assert_eq!(all[0].value.web, 3);

        store.put("scale/shop", "{").unwrap();
        let error = store.get_json::<Scale>("scale/shop").unwrap_err();
        assert_eq!(error.to_string(), "the value of `scale/shop` is not the expected JSON");
        let map = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = store.put_json("bad", &map).unwrap_err();
        assert!(matches!(error, StoreError::Json { .. }));
    });
}

#[test]
fn threads_that_compare_never_lose_an_increment() {
    const THREADS: u64 = 4;
    const TIMES: u64 = 25;
    both(|store| {
        store.put_json("count", &0_u64).unwrap();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    let mut done = 0;
                    while done < TIMES {
                        let now = store.get_json::<u64>("count").unwrap().unwrap();
                        let next = Txn::new()
                            .if_unchanged("count", now.mod_revision)
                            .put_json("count", &(now.value + 1));
                        done += u64::from(commits(store, &next));
                    }
                });
            }
        });
        assert_eq!(store.get_json::<u64>("count").unwrap().unwrap().value, THREADS * TIMES);
    });
}
