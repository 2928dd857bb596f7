# TensorFlow Serving with a model in the image, for Kubernetes. In the folder of a
# clone:
#
#   docker build --file examples/docker/serving.Dockerfile --tag REGISTRY/flowers-serving:1 .
FROM tensorflow/serving:2.20.0

# With the versions come models.config and batching_parameters.txt.
COPY saved_models/flowers /models/flowers

USER 65534:65534
ENTRYPOINT ["tensorflow_model_server"]
CMD [ \
    "--port=8500", \
    "--rest_api_port=8501", \
    "--model_config_file=/models/flowers/models.config", \
    "--enable_batching", \
    "--batching_parameters_file=/models/flowers/batching_parameters.txt", \
    "--grpc_max_threads=192", \
    "--rest_api_num_threads=192", \
    "--rest_api_timeout_in_ms=60000", \
    "--max_num_load_retries=0" \
]
