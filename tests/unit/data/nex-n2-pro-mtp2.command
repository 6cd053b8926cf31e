docker run -d --name nex-n2-pro-fp8-mtp-tp4 \
  --runtime nvidia --network host --ipc host --shm-size 16g \
  -e HF_HUB_OFFLINE=1 -e TRANSFORMERS_OFFLINE=1 \
  -e PYTORCH_CUDA_ALLOC_CONF=expandable_segments:True \
  -e VLLM_USE_DEEP_GEMM=0 -e VLLM_USE_FLASHINFER_MOE_FP16=1 \
  -e VLLM_USE_FLASHINFER_SAMPLER=0 -e OMP_NUM_THREADS=4 \
  -v <spark-model-root>:/root/.cache/huggingface \
  -v <spark-launcher-dir>/mods/nex-fp8-loader:/mods/nex-fp8-loader \
  vllm-node-mimo:latest \
  vllm serve /root/.cache/huggingface/nex-agi/Nex-N2-Pro-fp8 \
    --served-model-name Nex-N2-Pro-fp8 \
    --host 0.0.0.0 --port 8000 \
    --max-model-len 262144 \
    --gpu-memory-utilization 0.90 \
    --load-format safetensors \
    --enable-prefix-caching \
    --enable-auto-tool-choice \
    --tool-call-parser qwen3_coder \
    --reasoning-parser qwen3 \
    --max-num-batched-tokens 8192 \
    --max-num-seqs 16 \
    --trust-remote-code \
    -tp 4 --distributed-executor-backend ray \
    --mm-encoder-tp-mode data \
    --kv-cache-dtype fp8 \
    --compilation-config.cudagraph_mode none \
    --attention-backend flashinfer \
    --speculative-config '{"method":"qwen3_next_mtp","num_speculative_tokens":2}'
