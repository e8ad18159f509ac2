//! What tests share: hermetic homes, open-loop load, the ledger
