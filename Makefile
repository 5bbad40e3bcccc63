proto:
	PATH="$(CURDIR)/.venv/bin:$$PATH" .venv/bin/python -m grpc_tools.protoc -I . \
	    --python_out=. --grpc_python_out=. --mypy_out=. --mypy_grpc_out=. \
	    agent/proto/agentlink.proto nshell/proto/session.proto
