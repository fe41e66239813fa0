//! zarrs' storage traits: the asynchronous ones, and the synchronous ones that wait for them on our own threads.

use async_trait::async_trait;
use bytes::Bytes;
use futures::StreamExt;
use zarrs::storage::byte_range::{ByteRange, ByteRangeIterator};
use zarrs::storage::{
    AsyncListableStorageTraits, AsyncMaybeBytesIterator, AsyncReadableStorageTraits, AsyncWritableStorageTraits,
    ListableStorageTraits, MaybeBytes, MaybeBytesIterator, OffsetBytesIterator, ReadableStorageTraits, StorageError,
    StoreKey, StoreKeys, StoreKeysPrefixes, StorePrefix, WritableStorageTraits,
};

use super::{StorageResult, ZarrStore, block_on, storage_error};

#[async_trait]
impl AsyncReadableStorageTraits for ZarrStore {
    async fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> StorageResult<AsyncMaybeBytesIterator<'a>> {
        let ranges: Vec<ByteRange> = byte_ranges.collect();
        let parts = self.parts(key, &ranges).await?;
        Ok(parts.map(|parts| futures::stream::iter(parts.into_iter().map(Ok)).boxed()))
    }

    async fn size_key(&self, key: &StoreKey) -> StorageResult<Option<u64>> {
        self.size(key).await
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

#[async_trait]
impl AsyncListableStorageTraits for ZarrStore {
    async fn list(&self) -> StorageResult<StoreKeys> {
        self.keys_below(&StorePrefix::root()).await
    }

    async fn list_prefix(&self, prefix: &StorePrefix) -> StorageResult<StoreKeys> {
        self.keys_below(prefix).await
    }

    async fn list_dir(&self, prefix: &StorePrefix) -> StorageResult<StoreKeysPrefixes> {
        let (keys, prefixes) = self.children(prefix).await?;
        Ok(StoreKeysPrefixes::new(keys, prefixes))
    }

    async fn size_prefix(&self, prefix: &StorePrefix) -> StorageResult<u64> {
        self.size_below(prefix).await
    }
}

#[async_trait]
impl AsyncWritableStorageTraits for ZarrStore {
    async fn set(&self, key: &StoreKey, value: Bytes) -> StorageResult<()> {
        self.set_value(key, value).await
    }

    async fn set_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        offset_values: OffsetBytesIterator<'a>,
    ) -> StorageResult<()> {
        let parts = offset_values.collect();
        self.set_parts(key, parts).await
    }

    async fn erase(&self, key: &StoreKey) -> StorageResult<()> {
        self.erase_value(key).await
    }

    async fn erase_prefix(&self, prefix: &StorePrefix) -> StorageResult<()> {
        self.erase_all(prefix).await
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}

/// Waits for a method of a clone of the store.
macro_rules! wait {
    ($store:expr, |$clone:ident| $call:expr) => {{
        let $clone = $store.clone();
        block_on(async move { $call.await }).map_err(storage_error)?
    }};
}

impl ReadableStorageTraits for ZarrStore {
    fn get_partial_many<'a>(
        &'a self,
        key: &StoreKey,
        byte_ranges: ByteRangeIterator<'a>,
    ) -> StorageResult<MaybeBytesIterator<'a>> {
        let (key, ranges): (_, Vec<ByteRange>) = (key.clone(), byte_ranges.collect());
        let parts = wait!(self, |store| store.parts(&key, &ranges))?;
        Ok(parts.map(|parts| -> Box<dyn Iterator<Item = _>> { Box::new(parts.into_iter().map(Ok)) }))
    }

    fn get(&self, key: &StoreKey) -> Result<MaybeBytes, StorageError> {
        let key = key.clone();
        let whole = wait!(self, |store| store.parts(&key, &[ByteRange::FromStart(0, None)]))?;
        Ok(whole.and_then(|mut parts| parts.pop()))
    }

    fn size_key(&self, key: &StoreKey) -> StorageResult<Option<u64>> {
        let key = key.clone();
        wait!(self, |store| store.size(&key))
    }

    fn supports_get_partial(&self) -> bool {
        true
    }
}

impl ListableStorageTraits for ZarrStore {
    fn list(&self) -> StorageResult<StoreKeys> {
        wait!(self, |store| store.keys_below(&StorePrefix::root()))
    }

    fn list_prefix(&self, prefix: &StorePrefix) -> StorageResult<StoreKeys> {
        let prefix = prefix.clone();
        wait!(self, |store| store.keys_below(&prefix))
    }

    fn list_dir(&self, prefix: &StorePrefix) -> StorageResult<StoreKeysPrefixes> {
        let prefix = prefix.clone();
        let (keys, prefixes) = wait!(self, |store| store.children(&prefix))?;
        Ok(StoreKeysPrefixes::new(keys, prefixes))
    }

    fn size_prefix(&self, prefix: &StorePrefix) -> StorageResult<u64> {
        let prefix = prefix.clone();
        wait!(self, |store| store.size_below(&prefix))
    }
}

impl WritableStorageTraits for ZarrStore {
    fn set(&self, key: &StoreKey, value: Bytes) -> StorageResult<()> {
        let key = key.clone();
        wait!(self, |store| store.set_value(&key, value))
    }

    fn set_partial_many(&self, key: &StoreKey, offset_values: OffsetBytesIterator) -> StorageResult<()> {
        let (key, parts) = (key.clone(), offset_values.collect());
        wait!(self, |store| store.set_parts(&key, parts))
    }

    fn erase(&self, key: &StoreKey) -> StorageResult<()> {
        let key = key.clone();
        wait!(self, |store| store.erase_value(&key))
    }

    fn erase_prefix(&self, prefix: &StorePrefix) -> StorageResult<()> {
        let prefix = prefix.clone();
        wait!(self, |store| store.erase_all(&prefix))
    }

    fn supports_set_partial(&self) -> bool {
        false
    }
}
