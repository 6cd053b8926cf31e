# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The long flags of ``python -m sglang.launch_server``. Source: server_args.py of SGLang 0.5.13. PRIVATE to the collection."""

from __future__ import annotations

# Bare flags.
SWITCHES = frozenset(
    """
    abort-on-priority-when-disabled allow-auto-truncate checkpoint-engine-wait-weights-before-ready
    constrained-json-disable-any-whitespace debug-cuda-graph delete-ckpt-after-loading disable-attn-tp-gather
    disable-chunked-prefix-cache disable-cuda-graph disable-cuda-graph-padding disable-custom-all-reduce
    disable-fast-image-processor disable-flashinfer-autotune disable-flashinfer-cutlass-moe-fp4-allgather
    disable-hybrid-swa-memory disable-outlines-disk-cache disable-overlap-schedule disable-piecewise-cuda-graph
    disable-priority-preemption disable-radix-cache disable-shared-experts-fusion disable-tokenizer-batch-decode
    disaggregation-decode-enable-offload-kvcache disaggregation-decode-enable-radix-cache elastic-ep-rejoin
    enable-adaptive-dispatch-to-encoder enable-aiter-allreduce-fusion enable-attn-tp-input-scattered
    enable-breakable-cuda-graph enable-broadcast-mm-inputs-process enable-cache-report enable-cudagraph-gc
    enable-custom-logit-processor enable-deepep-waterfill enable-deepseek-v4-fp4-indexer
    enable-deterministic-inference enable-dp-attention enable-dp-attention-local-control-broadcast enable-dp-lm-head
    enable-draft-weights-cpu-backup enable-dsa-prefill-context-parallel enable-dynamic-batch-tokenizer
    enable-dynamic-chunking enable-elastic-expert-backup enable-eplb enable-expert-distribution-metrics
    enable-flashinfer-allreduce-fusion enable-forward-pass-metrics enable-fp32-lm-head
    enable-fused-moe-sum-all-reduce enable-fused-qk-norm-rope enable-hierarchical-cache enable-hisparse enable-http2
    enable-layerwise-nvtx-marker enable-lmcache enable-lora enable-lora-overlap-loading enable-memory-saver
    enable-metrics enable-metrics-for-all-schedulers enable-mfu-metrics enable-mis enable-mixed-chunk
    enable-mm-global-cache enable-mscclpp enable-multi-layer-eagle enable-multimodal enable-nccl-nvls
    enable-nsa-prefill-context-parallel enable-p2p-check enable-pdmux enable-precise-embedding-interpolation
    enable-prefill-context-parallel enable-prefill-delayer enable-prefix-mm-cache enable-priority-scheduling
    enable-profile-cuda-graph enable-quant-communications enable-request-time-stats-logging
    enable-return-hidden-states enable-return-indexer-topk enable-return-routed-experts enable-single-batch-overlap
    enable-ssl-refresh enable-streaming-session enable-strict-thinking enable-symm-mem enable-tokenizer-batch-encode
    enable-torch-compile enable-torch-compile-debug-mode enable-torch-symm-mem enable-trace enable-two-batch-overlap
    enable-weights-cpu-backup encoder-only enforce-disable-flashinfer-allreduce-fusion enforce-piecewise-cuda-graph
    enforce-shared-experts-fusion experts-shared-outer-loras export-metrics-to-file flashinfer-mla-disable-ragged
    grpc-mode incremental-streaming-output is-embedding keep-mm-feature-on-device language-only log-requests
    lora-strict-loading lora-use-virtual-experts mm-enable-dp-encoder pre-warm-nccl prefill-only-disable-kv-cache
    quantize-and-serve remote-instance-weight-loader-start-seed-via-transfer-engine
    schedule-low-priority-values-first show-time-cost skip-server-warmup skip-tokenizer-init sleep-on-idle
    speculative-adaptive speculative-skip-dp-mlp-sync stream-output stream-response-default-include-usage
    strip-thinking-cache triton-attention-reduce-in-fp32 trust-remote-code use-ray weight-loader-disable-mmap
    weight-loader-drop-cache-after-load weight-loader-prefetch-checkpoints
    """.split()
)

# Flags that take a value.
OPTIONS = frozenset(
    """
    admin-api-key api-key asr-max-buffer-seconds asr-max-concurrent-sessions attention-backend
    attention-context-parallel-size attn-cp-size base-gpu-id batch-notify-size bucket-e2e-request-latency
    bucket-inter-token-latency bucket-time-to-first-token chat-template chunked-prefill-size
    collect-tokens-histogram completion-template config constrained-json-whitespace-pattern context-length
    cpu-offload-gb crash-dump-folder cuda-graph-bs cuda-graph-max-bs custom-sigquit-handler custom-weight-loader
    data-parallel-size debug-tensor-dump-inject debug-tensor-dump-input-file debug-tensor-dump-layers
    debug-tensor-dump-output-folder decode-attention-backend decode-log-interval decrypted-config-file
    decrypted-draft-config-file deepep-config deepep-dispatcher-output-dtype deepep-mode default-priority-value
    detokenizer-worker-num device disaggregation-bootstrap-port disaggregation-decode-polling-interval
    disaggregation-ib-device disaggregation-mode disaggregation-transfer-backend dist-init-addr dist-timeout
    dllm-algorithm dllm-algorithm-config download-dir dp-size dsa-decode-backend dsa-prefill-backend
    dsa-prefill-cp-mode dsa-topk-backend dtype dynamic-batch-tokenizer-batch-size
    dynamic-batch-tokenizer-batch-timeout elastic-ep-backend enable-piecewise-cuda-graph encoder-bootstrap-port
    encoder-register-urls encoder-transfer-backend encoder-urls engine-info-bootstrap-port ep ep-dispatch-algorithm
    ep-num-redundant-experts ep-size eplb-algorithm eplb-min-rebalancing-utilization-threshold
    eplb-rebalance-layers-per-chunk eplb-rebalance-num-iterations expert-distribution-recorder-buffer-size
    expert-distribution-recorder-mode expert-parallel-size export-metrics-to-file-dir extra-metric-labels
    fastapi-root-path file-storage-path flashinfer-mxfp4-moe-precision forward-hooks forward-pass-metrics-ipc-name
    forward-pass-metrics-worker-id fp4-gemm-backend fp8-gemm-backend gc-threshold gc-warning-threshold-secs
    generation-tokens-buckets gpu-id-step grammar-backend grpc-http-sidecar-port hf-chat-template-name
    hicache-io-backend hicache-mem-layout hicache-ratio hicache-size hicache-storage-backend
    hicache-storage-backend-extra-config hicache-storage-prefetch-policy hicache-write-policy
    hierarchical-sparse-attention-extra-config hisparse-config host hybrid-kvcache-ratio init-expert-location
    json-model-override-args kt-cpuinfer kt-max-deferred-experts-per-token kt-method kt-num-gpu-experts
    kt-threadpool-count kt-weight-path kv-cache-dtype kv-canary kv-canary-real-data kv-canary-sweep-interval
    kv-events-config limit-mm-data-per-request linear-attn-backend linear-attn-decode-backend
    linear-attn-prefill-backend lmcache-config-file load-balance-method load-format load-snapshot-publish-interval
    log-level log-level-http log-requests-format log-requests-level log-requests-target lora-backend
    lora-drain-wait-threshold lora-eviction-policy lora-paths lora-target-modules mamba-backend
    mamba-full-memory-ratio mamba-scheduler-strategy mamba-ssm-dtype mamba-track-interval max-loaded-loras
    max-lora-chunk-size max-lora-rank max-loras-per-batch max-mamba-cache-size max-prefill-tokens
    max-queued-requests max-running-requests max-total-tokens mem-fraction-static mm-attention-backend
    mm-process-config model model-checksum model-config-parser model-impl model-loader-extra-config model-path
    modelexpress-config modelopt-checkpoint-restore-path modelopt-checkpoint-save-path modelopt-export-path
    modelopt-quant moe-a2a-backend moe-data-parallel-size moe-dense-tp-size moe-dp-size moe-runner-backend
    mooncake-ib-device msprobe-dump-config nccl-init-addr nccl-port nnodes node-rank nsa-decode-backend
    nsa-prefill-backend nsa-prefill-cp-mode num-continuous-decode-steps num-reserved-decode-tokens numa-node
    offload-group-size offload-mode offload-num-in-group offload-prefetch-step optimistic-prefill-retries
    otlp-traces-endpoint page-size pdmux-config-path piecewise-cuda-graph-compiler piecewise-cuda-graph-max-tokens
    piecewise-cuda-graph-tokens pipeline-parallel-size port pp-async-batch-depth pp-max-micro-batch-size pp-size
    preferred-sampling-params prefill-attention-backend prefill-cp-mode prefill-delayer-forward-passes-buckets
    prefill-delayer-max-delay-ms prefill-delayer-max-delay-passes prefill-delayer-queue-min-ratio
    prefill-delayer-token-usage-low-watermark prefill-delayer-wait-seconds-buckets prefill-max-requests
    prefill-round-robin-balance priority-scheduling-preemption-threshold prompt-tokens-buckets quantization
    quantization-param-path radix-cache-backend radix-eviction-policy random-seed reasoning-parser
    remote-instance-weight-loader-backend remote-instance-weight-loader-seed-instance-ip
    remote-instance-weight-loader-seed-instance-service-port remote-instance-weight-loader-send-weights-group-ports
    revision rl-on-policy-target rl-quant-profile sampling-backend sampling-defaults schedule-conservativeness
    schedule-policy scheduler-recv-interval served-model-name sm-group-num soft-watchdog-timeout
    speculative-accept-threshold-acc speculative-accept-threshold-single speculative-adaptive-config
    speculative-algorithm speculative-attention-mode speculative-dflash-block-size
    speculative-dflash-draft-window-size speculative-draft-attention-backend speculative-draft-load-format
    speculative-draft-model speculative-draft-model-path speculative-draft-model-quantization
    speculative-draft-model-revision speculative-draft-window-size speculative-eagle-topk
    speculative-moe-a2a-backend speculative-moe-runner-backend speculative-ngram-capacity
    speculative-ngram-external-corpus-max-tokens speculative-ngram-external-corpus-path
    speculative-ngram-external-sam-budget speculative-ngram-match-type speculative-ngram-max-bfs-breadth
    speculative-ngram-max-trie-depth speculative-ngram-min-bfs-breadth speculative-num-draft-tokens
    speculative-num-steps speculative-token-map ssl-ca-certs ssl-certfile ssl-keyfile ssl-keyfile-password
    stream-interval swa-full-tokens-ratio tbo-token-distribution-threshold tensor-parallel-size tokenizer-backend
    tokenizer-metrics-allowed-custom-labels tokenizer-metrics-custom-labels-header tokenizer-mode tokenizer-path
    tokenizer-worker-num tool-call-parser tool-server torch-compile-max-bs torchao-config tp-size trace-modules
    triton-attention-num-kv-splits triton-attention-split-tile-size uvicorn-access-log-exclude-prefixes warmups
    watchdog-timeout weight-loader-prefetch-num-threads weight-version
    """.split()
)
