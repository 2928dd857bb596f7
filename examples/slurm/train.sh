#!/bin/bash
# Trains a GAN on two nodes: sbatch examples/slurm/train.sh
#
# The folders below must be on a disk that all nodes share. Submitted again, it
# resumes the run.
#SBATCH --job-name=keras-t2i
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=8
#SBATCH --gpus-per-task=1
#SBATCH --mem=32G
#SBATCH --time=04:00:00
# Two minutes before the end, all workers stop in order and save.
#SBATCH --signal=TERM@120
# After a preemption or the failure of a node, the job starts again.
#SBATCH --requeue
#SBATCH --open-mode=append

data=data/mine
text_encoder=runs/text
out=runs/gan

options=(--data "$data" --text-encoder "$text_encoder" --strategy multi_worker)
# The first worker writes this file when all others have started.
if [ -e "$out/config.json" ]; then
  options=(--resume)
fi

# If a worker ends with an error, the others do too.
exec srun --kill-on-bad-exit=1 keras-t2i train "${options[@]}" --out "$out"
